// describe_exception.hpp - type and text of whatever was thrown, as people write them.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "process/bounded_text.hpp"
#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Describes the exception being handled (call it in a catch block).
///
/// `type` gets the demangled type without the inline namespaces of libraries ("std::runtime_error",
/// "cairn::key_error"), "unknown" for what is not a std::exception. `text` gets what(), followed by what the nested
/// exceptions say; for an unknown type, "a thrown int: 42".
void describe_current_exception(bounded_text& type, bounded_text& text) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
