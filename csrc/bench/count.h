// Lets callgrind count what a bench's body takes: the same numbers on every run, unlike time.
//
//   valgrind --tool=callgrind --dump-before='*counting_begins*'
//       --dump-after='*fastserve::counted<*' codec_bench count
//
// writes two profiles for each line printed, what led to its body and the body (bench/micro.py).
#ifndef FASTSERVE_BENCH_COUNT_H_
#define FASTSERVE_BENCH_COUNT_H_

#include <cstdio>
#include <string_view>

namespace fastserve {

// Whether the program was asked to count, not to time.
inline bool is_counting(int argc, char** argv) {
  return argc > 1 && std::string_view(argv[1]) == "count";
}

// Functions of their own, so that callgrind finds where to begin and to end. One function cannot be
// both: callgrind 3.19 then dumps at its beginning alone.
[[gnu::noinline]] inline void counting_begins() { asm volatile(""); }

template <typename Body>
[[gnu::noinline]] void counted(int calls, Body& body) {
  for (int i = 0; i < calls; ++i) body();
}

// Runs the body once, which allocates what later calls reuse, then `calls` times for the count.
// Prints "<calls>\t<name>".
template <typename Body>
void count(const char* name, int calls, Body body) {
  body();
  counting_begins();
  counted(calls, body);
  std::printf("%d\t%s\n", calls, name);
}

}  // namespace fastserve

#endif  // FASTSERVE_BENCH_COUNT_H_
