// SPDX-License-Identifier: BSL-1.0
#include "process/child_report.hpp"

#include <algorithm>
#include <new>
#include <string>

#include "os/child.hpp"
#include "process/describe_exception.hpp"

namespace cairn::inline CAIRN_ABI::detail {

void child_report::unmap::operator()(child_report* report) const noexcept {
    os::unmap_shared(report, sizeof(child_report));
}

std::error_code child_report::create(pointer& report) noexcept {
    void* memory = nullptr;
    if (const auto error = os::map_shared_with_children(sizeof(child_report), memory)) return error;
    report.reset(::new (memory) child_report);
    return {};
}

void child_report::record_current_exception() noexcept {
    bounded_text type(type_, type_capacity_bytes);
    bounded_text text(text_, text_capacity_bytes);
    describe_current_exception(type, text);
    type_bytes_ = static_cast<std::uint32_t>(type.size());
    text_bytes_ = static_cast<std::uint32_t>(text.size());
    // release: pairs with the acquire in has_exception(); type and text are complete there
    has_exception_.store(1, std::memory_order_release);
}

void child_report::record_exit_code(int code) noexcept {
    // release: whoever sees the code sees the exception that explains it
    exit_code_.store(code & 0xFF, std::memory_order_release);  // what the kernel keeps of it
}

bool child_report::has_exception() const noexcept {
    return has_exception_.load(std::memory_order_acquire) == 1;
}

std::string_view child_report::type() const noexcept {
    if (!has_exception()) return {};
    return {type_, std::min<std::size_t>(type_bytes_, type_capacity_bytes)};
}

std::string_view child_report::text() const noexcept {
    if (!has_exception()) return {};
    return {text_, std::min<std::size_t>(text_bytes_, text_capacity_bytes)};
}

std::optional<remote_error> child_report::exception() const {
    if (!has_exception()) return std::nullopt;
    return remote_error(std::string(type()), std::string(text()));
}

std::optional<int> child_report::exit_code() const noexcept {
    const std::int32_t code = exit_code_.load(std::memory_order_acquire);
    if (code < 0 || code > 0xFF) return std::nullopt;
    return code;
}

}  // namespace cairn::inline CAIRN_ABI::detail
