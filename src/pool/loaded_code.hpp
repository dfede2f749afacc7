// loaded_code.hpp - which libraries a program has loaded, and which of them code is in.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <vector>

#include "pool/family.hpp"

namespace cairn::inline CAIRN_ABI::detail {

/// What the code is in; of no place if that is nothing that was loaded.
loaded_object object_with(const void* code);
/// The libraries that the program has loaded by now.
std::vector<loaded_object> loaded_objects();

}  // namespace cairn::inline CAIRN_ABI::detail
