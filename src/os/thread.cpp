// SPDX-License-Identifier: BSL-1.0
#include "os/thread.hpp"

#include <csignal>
#include <cstddef>
#include <cstdint>

#include "os/fault.hpp"
#include "os/uncancellable.hpp"

namespace cairn::inline CAIRN_ABI::detail::os {

std::error_code start_thread(pthread_t& thread, void* (*body)(void*), void* argument) noexcept {
    int error = injected_fault("pthread_create");
    if (error == 0) {
        // Attributes of our own keep the C library from taking the lock of the default ones, which a thread of the parent may
        // have held at a fork.
        pthread_attr_t attributes;
        ::pthread_attr_init(&attributes);
        error = ::pthread_create(&thread, &attributes, body, argument);
        ::pthread_attr_destroy(&attributes);
    }
    return error != 0 ? std::error_code(error, std::generic_category()) : std::error_code{};
}

std::error_code start_quiet_joinable(pthread_t& thread, void* (*body)(void*), void* argument) noexcept {
    // A thread starts with its maker's mask.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    const std::error_code error = start_thread(thread, body, argument);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return error;
}

void join_thread(pthread_t thread) noexcept {
    const uncancellable in_one_piece;
    ::pthread_join(thread, nullptr);
}

void detach_thread(pthread_t thread) noexcept {
    ::pthread_detach(thread);
}

pthread_t own_thread() noexcept {
    return ::pthread_self();
}

stack_range own_stack() noexcept {
    pthread_attr_t attributes;
    if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return {};
    void* lowest = nullptr;
    std::size_t size = 0;
    const bool is_known = ::pthread_attr_getstack(&attributes, &lowest, &size) == 0;
    ::pthread_attr_destroy(&attributes);
    return is_known ? stack_range{reinterpret_cast<std::uintptr_t>(lowest), size} : stack_range{};
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
