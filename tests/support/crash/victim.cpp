// SPDX-License-Identifier: BSL-1.0
#include "support/crash/victim.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <stdexcept>
#include <thread>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/patience.hpp"

namespace cairn_test {

namespace {

constexpr std::chrono::seconds longest_end(20);

[[noreturn]] void run_body(const std::function<void(stage&)>& body, stage& shared, bool traced) noexcept {
    prepare_child();
    int code = 0;
    try {
        if (traced) ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        body(shared);
    } catch (const std::exception& e) {
        std::snprintf(shared.problem, sizeof shared.problem, "%s", e.what());
        code = 1;
    }
    ::_exit(code);
}

}  // namespace

void prepare_child() {
    const pid_t parent = ::getppid();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    for (const int signal : {SIGTERM, SIGINT, SIGSEGV, SIGABRT, SIGFPE, SIGILL, SIGBUS, SIGTRAP, SIGALRM})
        std::signal(signal, SIG_DFL);
    ::alarm(0);
}

void stage::mark() noexcept {
    ::kill(::getpid(), SIGSTOP);
}

void stage::acknowledge() noexcept {
    __atomic_store_n(&acknowledged, 1U, __ATOMIC_SEQ_CST);
}

victim::victim(const std::function<void(stage&)>& body, leading how) {
    void* page = ::mmap(nullptr, sizeof(stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) throw std::runtime_error("no page to share with a victim");
    stage_ = new (page) stage;
    std::fflush(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) run_body(body, *stage_, how == leading::traced);
    try {
        if (pid_ < 0) throw std::runtime_error("no victim: fork failed");
        int status = 0;
        while (::waitpid(pid_, &status, __WALL | WUNTRACED) < 0 && errno == EINTR) {}
        if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP) fail("did not get to its first mark", status);
        if (how == leading::untraced) return;
        ::ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_EXITKILL);
    } catch (...) {
        reap();
        ::munmap(stage_, sizeof(stage));
        throw;
    }
}

victim::~victim() {
    kill();
    reap();
    ::munmap(stage_, sizeof(stage));
}

bool victim::is_acknowledged() const noexcept {
    return __atomic_load_n(&stage_->acknowledged, __ATOMIC_SEQ_CST) != 0;
}

void victim::fail(const std::string& what, int status) const {
    std::string how = "is in a state nobody expects";
    if (WIFEXITED(status)) how = "exited with " + std::to_string(WEXITSTATUS(status));
    if (WIFSIGNALED(status)) how = "was killed by signal " + std::to_string(WTERMSIG(status));
    if (WIFSTOPPED(status)) how = "got signal " + std::to_string(WSTOPSIG(status));
    throw std::runtime_error("the victim " + what + ": it " + how + (stage_->problem[0] != '\0' ? ": " : "") +
                             stage_->problem);
}

// False at a mark.
bool victim::resume(int request) {
    if (::ptrace(static_cast<__ptrace_request>(request), pid_, nullptr, nullptr) != 0)
        throw std::runtime_error("the victim cannot be led on: " + std::string(std::strerror(errno)));
    int status = 0;
    while (::waitpid(pid_, &status, __WALL) < 0) {
        if (errno != EINTR) throw std::runtime_error("the victim cannot be waited for");
    }
    if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP) return true;
    if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP) return false;
    if (!WIFSTOPPED(status)) pid_ = -1;
    fail("did not get to its next mark", status);
}

void victim::run_to_store(std::uint64_t store, std::uint64_t instructions) {
    stage_->stop_store = store;
    stage_->stop_instructions = instructions;
    ::kill(pid_, SIGCONT);
    int status = 0;
    while (::waitpid(pid_, &status, WUNTRACED) < 0) {
        if (errno != EINTR) throw std::runtime_error("the victim cannot be waited for");
    }
    if (WIFSTOPPED(status)) return;
    pid_ = -1;
    fail("did not get to its store or its next mark", status);
}

bool victim::step() {
    return resume(PTRACE_SINGLESTEP);
}

void victim::run() {
    while (resume(PTRACE_CONT)) {}
}

std::uint64_t victim::location() const {
#if defined(__x86_64__)
    return static_cast<std::uint64_t>(
        ::ptrace(PTRACE_PEEKUSER, pid_, offsetof(user_regs_struct, rip), nullptr));
#else
    return 0;
#endif
}

void victim::release() {
    ::ptrace(PTRACE_DETACH, pid_, nullptr, nullptr);
    const auto deadline = std::chrono::steady_clock::now() + patiently(longest_end);
    int status = 0;
    pid_t ended = 0;
    while ((ended = ::waitpid(pid_, &status, WNOHANG)) == 0 && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (ended != pid_) throw std::runtime_error("the victim does not end");
    pid_ = -1;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail("did not end well", status);
}

void victim::kill() noexcept {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
}

void victim::reap() noexcept {
    if (pid_ <= 0) return;
    int status = 0;
    // A traced child reports stops, too; only its end counts.
    for (;;) {
        const pid_t got = ::waitpid(pid_, &status, __WALL);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 || WIFEXITED(status) || WIFSIGNALED(status)) break;
        ::kill(pid_, SIGKILL);
    }
    pid_ = -1;
}

std::string victim::segment_path() const {
    return "/proc/" + std::to_string(pid_) + "/fd/" + std::to_string(stage_->descriptor);
}

}  // namespace cairn_test
