// The one translation unit that holds doctest itself; every *_test.cc is linked with it.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
