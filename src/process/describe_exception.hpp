// describe_exception.hpp - type and text of whatever was thrown, as people write them.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "process/bounded_text.hpp"
#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Describes the exception being handled (call it in a catch block).
///
/// `type` gets the demangled type without the inline namespaces of libraries ("std::runtime_error",
/// "cairn::key_error"), "unknown" for what is not a std::exception. `text` gets what(), followed by what the nested
/// exceptions say; for an unknown type, "a thrown int: 42".
void describe_current_exception(bounded_text& type, bounded_text& text) noexcept;

/// The same, with room of its own: enough for messages.
class exception_description {
public:
    exception_description() noexcept { describe_current_exception(type_, text_); }
    exception_description(const exception_description&) = delete;
    exception_description& operator=(const exception_description&) = delete;
    ~exception_description() = default;
    [[nodiscard]] std::string_view type() const noexcept { return type_.view(); }
    [[nodiscard]] std::string_view text() const noexcept { return text_.view(); }
    /// "std::runtime_error: no such file"
    [[nodiscard]] std::string type_and_text() const {
        return std::string(type()).append(": ").append(text());
    }

private:
    std::array<char, 256> type_room_;
    std::array<char, 1024> text_room_;
    bounded_text type_{type_room_.data(), type_room_.size()};
    bounded_text text_{text_room_.data(), text_room_.size()};
};

}  // namespace cairn::inline CAIRN_ABI::detail
