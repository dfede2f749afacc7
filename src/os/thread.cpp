// SPDX-License-Identifier: BSL-1.0
#include "os/thread.hpp"

#include <csignal>

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

pthread_t own_thread() noexcept {
    return ::pthread_self();
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
