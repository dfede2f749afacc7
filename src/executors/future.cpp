// SPDX-License-Identifier: BSL-1.0
#include "cairn/future.hpp"

#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include <cxxabi.h>

#include "executors/settling.hpp"
#include "executors/task_access.hpp"
#include "process/describe_exception.hpp"
#include <cairn/detail/executors/executor_core.hpp>
#include <cairn/detail/executors/map.hpp>

namespace cairn::inline CAIRN_ABI::detail {

callback::callback() noexcept = default;
callback::~callback() = default;
void callback::drop() noexcept {}
future_state::~future_state() = default;

void future_state::destroy() noexcept {
    delete this;
}

namespace {

class resuming final : public callback {
public:
    explicit resuming(std::coroutine_handle<> coroutine) noexcept : coroutine_(coroutine) {}
    void run(future_state& /*settled*/) override { coroutine_.resume(); }

private:
    std::coroutine_handle<> coroutine_;
};

class following final : public callback {
public:
    following(task_ptr task, core_ptr core) noexcept : task_(std::move(task)), core_(std::move(core)) {}
    void run(future_state& /*settled*/) override {
        if (!core_) return task_access::run_unowned(*task_);
        try {
            core_->submit_following(task_);
        } catch (...) {
            const std::exception_ptr error = caught_exception();
            // Shut down by now, or no memory. Cancelled meanwhile: then that counts.
            if (task_access::step(*task_, word_stage::pending, word_stage::settling))
                task_access::settle_with(*task_, error);
        }
        // An executor has it: callbacks may wait for it from now on.
        task_access::is_continuation(*task_) = false;
    }
    void drop() noexcept override { task_access::cancel_unqueued(*task_); }

private:
    task_ptr task_;
    core_ptr core_;
};

[[noreturn]] void throw_taken() {
    throw invalid_state(
        "result of a future: it was moved away by std::move(f).result(), of this future or a copy");
}

[[noreturn]] void throw_not_done() {
    throw timeout_error("result of a future: not done in the time given");
}

}  // namespace

future_state& required(future_state* state, const char* operation) {
    if (state == nullptr) {
        throw invalid_state(std::string(operation) +
                            " a future: this object refers to no task (default-constructed, or moved from)");
    }
    return *state;
}

void* wait_for_value(future_state* state, steady_time deadline, bool take) {
    future_state& s = required(state, "result of");
    if (!s.wait_until(deadline)) throw_not_done();
    if (std::exception_ptr error = s.exception(); error != nullptr) std::rethrow_exception(std::move(error));
    if (take ? !s.take_value() : s.is_value_taken()) throw_taken();
    return s.value();
}

std::exception_ptr wait_for_exception(future_state* state, steady_time deadline) {
    future_state& s = required(state, "exception of");
    if (!s.wait_until(deadline)) throw_not_done();
    std::exception_ptr error = s.exception();
    if (s.stage() == future_stage::cancelled_and_notified) std::rethrow_exception(std::move(error));
    return error;
}

void run_after(future_state& after, task_ptr task, executor_core* core) {
    task_access::is_continuation(*task) = true;
    task_access::submitter(*task) = own_submitter();  // and not the settling thread
    after.call_when_settled(std::make_unique<following>(std::move(task), core_ptr::sharing(core)));
}

void resume_when_settled(future_state& state, std::coroutine_handle<> coroutine) {
    state.call_when_settled(std::make_unique<resuming>(coroutine));
}

void print_future(std::ostream& to, future_state* state, const std::type_info& type) {
    if (state == nullptr) {
        to << "<future none>";
        return;
    }
    to << "<future at " << static_cast<const void*>(state) << " state=";
    switch (state->stage()) {
        case future_stage::pending: to << "pending>"; return;
        case future_stage::running: to << "running>"; return;
        case future_stage::cancelled: to << "cancelled>"; return;
        case future_stage::cancelled_and_notified: to << "cancelled_and_notified>"; return;
        case future_stage::finished: break;
    }
    to << "finished ";
    if (const std::exception_ptr error = state->exception(); error != nullptr) {
        try {
            std::rethrow_exception(error);
        } catch (...) {
            to << "raised " << exception_description().type() << '>';
        }
        return;
    }
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> demangled(
        abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
    to << "returned " << (demangled != nullptr ? demangled.get() : type.name()) << '>';
}

}  // namespace cairn::inline CAIRN_ABI::detail
