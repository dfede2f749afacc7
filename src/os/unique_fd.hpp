// unique_fd.hpp - owner of a file descriptor.
//
// Rule: numbers that the program may use again are not ours. What is kept longer than a call is none of 0, 1 and 2, which
// programs write to without looking (above_standard), and is closed only while it is still the file that was opened.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <utility>

#include <unistd.h>

#include "os/uncancellable.hpp"
#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

class unique_fd {
public:
    unique_fd() noexcept = default;
    explicit unique_fd(int fd) noexcept : fd_(fd) {}
    unique_fd(unique_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    unique_fd& operator=(unique_fd&& other) noexcept {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    unique_fd(const unique_fd&) = delete;
    unique_fd& operator=(const unique_fd&) = delete;
    ~unique_fd() { reset(); }

    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] bool valid() const noexcept { return fd_ >= 0; }
    int release() noexcept { return std::exchange(fd_, -1); }
    void reset() noexcept {
        if (fd_ < 0) return;
        const uncancellable in_one_piece;
        ::close(std::exchange(fd_, -1));
    }

private:
    int fd_ = -1;
};

/// Takes `fd` over, under a number above those of stdin, stdout and stderr, which may be closed: what the program prints would
/// end up in the file. -1 stays; where no other number is free, -1 with errno.
unique_fd above_standard(int fd) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail::os
