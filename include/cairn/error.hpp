// error.hpp - everything Cairn throws.
//
// All types derive, singly, from cairn::error, so that one catch is enough; `.code()` is set where the system said
// no. A message names the operation, the object and the segment, and says what to do where something can be done:
//
//   <operation> <kind> '<name>' [in segment '<name>']: <what is wrong>[, expected ..., found ...][: <system's words>]
//
// A call that throws has left the object as it was.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <stdexcept>
#include <string>
#include <system_error>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI {

/// Base of everything Cairn throws. Safety: as std::runtime_error (copying does not throw).
class CAIRN_API error : public std::runtime_error {
public:
    explicit error(const std::string& what, std::error_code code = {})
        : std::runtime_error(what), code_(code) {}
    error(const error&) = default;
    error& operator=(const error&) = default;
    ~error() override;

    /// The system's reason, where an errno stands behind this error; else an empty code.
    [[nodiscard]] const std::error_code& code() const noexcept { return code_; }

private:
    std::error_code code_;
};

#define CAIRN_DEFINE_ERROR(name)                                                                             \
    class CAIRN_API name : public error {                                                                    \
    public:                                                                                                  \
        using error::error;                                                                                  \
        name(const name&) = default;                                                                         \
        name& operator=(const name&) = default;                                                              \
        ~name() override;                                                                                    \
    }

// Segments and their objects.
CAIRN_DEFINE_ERROR(segment_exists);
CAIRN_DEFINE_ERROR(no_such_segment);
CAIRN_DEFINE_ERROR(no_such_object);
CAIRN_DEFINE_ERROR(type_mismatch);
CAIRN_DEFINE_ERROR(version_mismatch);
CAIRN_DEFINE_ERROR(corrupt_segment);
CAIRN_DEFINE_ERROR(permission_denied);
CAIRN_DEFINE_ERROR(segment_full);
CAIRN_DEFINE_ERROR(object_gone);
CAIRN_DEFINE_ERROR(object_poisoned);
CAIRN_DEFINE_ERROR(refused);

// Use of an object.
CAIRN_DEFINE_ERROR(index_error);
CAIRN_DEFINE_ERROR(key_error);
CAIRN_DEFINE_ERROR(invalid_name);
CAIRN_DEFINE_ERROR(invalid_argument);
CAIRN_DEFINE_ERROR(invalid_state);
CAIRN_DEFINE_ERROR(would_deadlock);
CAIRN_DEFINE_ERROR(queue_closed);
CAIRN_DEFINE_ERROR(timeout_error);
CAIRN_DEFINE_ERROR(broken_barrier);

// Processes and executors.
CAIRN_DEFINE_ERROR(cancelled_error);
CAIRN_DEFINE_ERROR(rejected_submission);
CAIRN_DEFINE_ERROR(initializer_failed);

// The system.
CAIRN_DEFINE_ERROR(system_failure);

#undef CAIRN_DEFINE_ERROR

/// How a worker ended that was killed, or ended its process, in a task.
struct worker_death_details {
    int pid = 0;
    int code = 0;  ///< exit code; negative: the signal that killed it
    int attempts = 1;
    int worker_id = -1;
    bool likely_oom = false;
};

/// A task's worker ended in it: killed, by exit(), or its thread by pthread_exit.
class CAIRN_API worker_died : public error {
public:
    using error::error;
    worker_died(const std::string& what, const worker_death_details& how);
    worker_died(const worker_died&) = default;
    worker_died& operator=(const worker_died&) = default;
    ~worker_died() override;

    /// Of the worker's process; 0 where the worker was a thread.
    [[nodiscard]] int pid() const noexcept { return how_.pid; }
    /// That killed it; 0: none did.
    [[nodiscard]] int signal() const noexcept { return how_.code < 0 ? -how_.code : 0; }
    /// As process::exitcode(): negative where a signal killed it.
    [[nodiscard]] int exitcode() const noexcept { return how_.code; }
    /// How often the task was started, with this time.
    [[nodiscard]] int attempts() const noexcept { return how_.attempts; }
    /// this_worker::id() of it.
    [[nodiscard]] int worker_id() const noexcept { return how_.worker_id; }
    /// Whether the kernel has killed a process of this control group for want of memory about then: it may have been this one.
    [[nodiscard]] bool likely_oom() const noexcept { return how_.likely_oom; }

private:
    worker_death_details how_;
};

/// An exception of another process whose type cannot be rebuilt here: carries that type's name and text.
class CAIRN_API remote_error : public error {
public:
    remote_error(const std::string& type, const std::string& text);
    remote_error(const remote_error&) = default;
    remote_error& operator=(const remote_error&) = default;
    ~remote_error() override;

    /// The thrown type, demangled ("std::bad_alloc"); "unknown" for what is not a std::exception.
    [[nodiscard]] const std::string& type_name() const noexcept { return type_; }
    /// Its what().
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
    std::string type_;
    std::string text_;
};

}  // namespace cairn::inline CAIRN_ABI
