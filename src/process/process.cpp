// SPDX-License-Identifier: BSL-1.0
#include "cairn/process.hpp"

#include <chrono>
#include <csignal>
#include <ostream>
#include <string>
#include <utility>

#include "os/child.hpp"
#include "process/process_state.hpp"
#include "process/run_child.hpp"

namespace cairn::inline CAIRN_ABI {

namespace {

// Between a daemon's SIGTERM and its SIGKILL. Chosen freely: enough to put things in order, and still an ending that
// nobody takes for a hang.
constexpr std::chrono::seconds daemon_grace(1);

}  // namespace

void detail::drop_process_state::operator()(process_state* state) const noexcept {
    delete state;
}

process::process(process&& other) noexcept = default;

process& process::operator=(process&& other) noexcept {
    if (this != &other) {
        end();
        state_ = std::move(other.state_);
    }
    return *this;
}

process::~process() {
    end();
}

void process::start(const process_options& options, detail::process_task task) {
    std::string name = options.name.empty() ? detail::next_process_name() : options.name;
    state_ = detail::owner<detail::process_state, detail::drop_process_state>(
        new detail::process_state(std::move(name), options.daemon));
    state_->start(task);
}

void process::end() noexcept {
    if (!state_) return;
    if (state_->creator() == detail::os::own_pid()) {
        try {
            if (state_->is_daemon()) {
                state_->send(SIGTERM, "terminate");
                if (!state_->wait_until(detail::deadline_after(daemon_grace))) state_->send(SIGKILL, "kill");
            }
            state_->wait_until(detail::steady_time::max());
        } catch (const cairn::error&) {
            // The system forbids waiting or signalling: join() and terminate() would have said it aloud.
        }
    }
    state_.reset();
}

detail::process_state& process::state(const char* operation) const {
    if (!state_) {
        throw invalid_state(std::string(operation) +
                            " process: this object owns none (moved from, or never started)");
    }
    return *state_;
}

detail::process_state& process::own_child(const char* operation) const {
    auto& child = state(operation);
    const pid_t self = detail::os::own_pid();
    if (self == child.creator()) return child;
    const std::string beginning = detail::process_operation(operation, child.name());
    if (self == child.pid()) throw invalid_state(beginning + ": this is that process itself");
    throw invalid_state(beginning + ": only pid " + std::to_string(child.creator()) +
                        ", which started it, can, this is " + std::to_string(self));
}

bool process::wait_until(detail::steady_time deadline) {
    return own_child("join").wait_until(deadline);
}

void process::join() {
    wait_until(detail::steady_time::max());
}

std::optional<int> process::exitcode() const {
    return own_child("exit code of").exit_code();
}

std::optional<remote_error> process::error() const {
    return own_child("error of").exception();
}

bool process::alive() const {
    return !own_child("look at").exit_code();
}

pid_t process::pid() const {
    return state("pid of").pid();
}

const std::string& process::name() const {
    return state("name of").name();
}

void process::send(int signal, const char* operation) {
    own_child(operation).send(signal, operation);
}

void process::terminate() {
    send(SIGTERM, "terminate");
}

void process::kill() {
    send(SIGKILL, "kill");
}

void process::interrupt() {
    send(SIGINT, "interrupt");
}

int process::sentinel() const {
    return own_child("sentinel of").sentinel();
}

std::ostream& operator<<(std::ostream& out, const process& p) {
    if (!p.state_) return out << "<process none>";
    out << "<process '" << p.name() << "' pid=" << p.pid();
    if (p.state_->creator() != detail::os::own_pid()) return out << " of pid " << p.state_->creator() << '>';
    const auto code = p.exitcode();
    if (!code) return out << " running>";
    return out << " exitcode=" << *code << '>';
}

}  // namespace cairn::inline CAIRN_ABI
