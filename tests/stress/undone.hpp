// undone.hpp - what takes a transaction of a storm back.
// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace cairn_test {

struct undone {};

}  // namespace cairn_test
