// bounded_text.hpp - text appended to a buffer of fixed size; what does not fit becomes "...".
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Allocates nothing, so that it works where memory is what ran out. The buffer is not terminated by a zero.
class bounded_text {
public:
    bounded_text(char* buffer, std::size_t capacity_bytes) noexcept
        : buffer_(buffer), capacity_(capacity_bytes) {}

    bounded_text& operator<<(std::string_view more) noexcept {
        if (is_cut_) return *this;
        const std::size_t room = capacity_ - size_;
        if (more.size() <= room) {
            std::memcpy(buffer_ + size_, more.data(), more.size());
            size_ += more.size();
            return *this;
        }
        std::memcpy(buffer_ + size_, more.data(), room);
        cut();
        return *this;
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::string_view view() const noexcept { return {buffer_, size_}; }

private:
    // The buffer is full: makes room for the dots, at the border of a UTF-8 character.
    void cut() noexcept {
        constexpr std::string_view dots = "...";
        is_cut_ = true;
        size_ = capacity_ - std::min(capacity_, dots.size());
        const auto continues = [this](std::size_t at) {
            return (static_cast<unsigned char>(buffer_[at]) & 0xC0U) == 0x80U;
        };
        // at most three steps: what is longer is not UTF-8 and may be cut anywhere
        for (int steps = 0; steps < 3 && size_ > 0 && continues(size_); ++steps) --size_;
        const std::size_t count = std::min(dots.size(), capacity_ - size_);
        std::memcpy(buffer_ + size_, dots.data(), count);
        size_ += count;
    }

    char* buffer_;
    std::size_t capacity_;
    std::size_t size_ = 0;
    bool is_cut_ = false;
};

}  // namespace cairn::inline CAIRN_ABI::detail
