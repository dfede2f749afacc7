// uncancellable.hpp - keeps pthread_cancel from ending a thread inside an operation.
//
// Rule: no operation of Cairn is a cancellation point. Many of its functions are noexcept, where a cancellation would end the
// process, and a wait that holds a lease or a lock would end in the middle. A thread that was cancelled meanwhile ends at the
// next cancellation point of its own. Every call of the system that is one stands inside one of these.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <pthread.h>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

class uncancellable {
public:
    uncancellable() noexcept { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    uncancellable(const uncancellable&) = delete;
    uncancellable& operator=(const uncancellable&) = delete;
    ~uncancellable() { pthread_setcancelstate(before_, nullptr); }

private:
    int before_ = PTHREAD_CANCEL_ENABLE;
};

}  // namespace cairn::inline CAIRN_ABI::detail::os
