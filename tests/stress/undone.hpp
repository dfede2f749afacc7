// undone.hpp - what takes a transaction of a storm back.
#pragma once

namespace cairn_test {

struct undone {};

}  // namespace cairn_test
