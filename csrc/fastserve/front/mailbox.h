// A mailbox of one reader and any number of writers, without locks: a writer that the scheduler
// takes off its core in the middle of a post delays nobody, so an io thread may post to, and read
// from, a thread that holds the GIL.
//
// Writers push onto a linked stack; the reader takes the whole stack and turns it round, so that
// what one writer posted comes out in its order.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <utility>
#include <vector>

namespace fastserve::front {

template <typename T>
class Mailbox {
 public:
  Mailbox() = default;
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  ~Mailbox() { free_all(head_.exchange(nullptr, std::memory_order_acquire)); }

  // Returns true when it was empty: the reader may be asleep. Thread: any.
  bool post(T item) {
    Node* node = new Node{std::move(item), head_.load(std::memory_order_relaxed)};
    // After a successful exchange the node is the reader's: `next` is compared, not read again.
    Node* next = node->next;
    while (!head_.compare_exchange_weak(next, node, std::memory_order_release,
                                        std::memory_order_relaxed)) {
      node->next = next;
    }
    return next == nullptr;
  }

  // Appends everything posted so far, oldest first. Thread: the reader.
  void take(std::vector<T>* items) {
    if (head_.load(std::memory_order_relaxed) == nullptr) return;
    Node* node = head_.exchange(nullptr, std::memory_order_acquire);
    const size_t first = items->size();
    while (node != nullptr) {
      items->push_back(std::move(node->item));
      delete std::exchange(node, node->next);
    }
    std::reverse(items->begin() + static_cast<std::ptrdiff_t>(first), items->end());
  }

 private:
  struct Node {
    T item;
    Node* next;
  };
  static void free_all(Node* node) {
    while (node != nullptr) delete std::exchange(node, node->next);
  }

  std::atomic<Node*> head_{nullptr};
};

}  // namespace fastserve::front
