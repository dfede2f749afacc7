// SPDX-License-Identifier: BSL-1.0
#include "support/crash/write_trap.hpp"

#include <csignal>
#include <stdexcept>

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

namespace cairn_test {

#if defined(__x86_64__)

namespace {

constexpr greg_t trap_flag = 0x100;
constexpr std::uint64_t page = 4096;
constexpr std::size_t most_frames = 100'000;
constexpr std::size_t most_bytes = 8 << 20;
constexpr int most_open_pages = 4;  // an instruction that we know writes to two at most

// What the handlers work on: one film at a time, or one way to a stop.
struct {
    std::byte* base = nullptr;
    std::uint64_t bytes = 0;
    std::byte* known = nullptr;  // the bytes as of the last frame
    film* to = nullptr;
    std::uint64_t stores = 0;
    std::byte* open[most_open_pages] = {};
    int open_count = 0;
    std::uint64_t last_store = 0;    // to stop behind, instead of filming
    std::uint64_t instructions = 0;  // from there on
} trap;

void give_up(const char* what) noexcept {
    [[maybe_unused]] const ssize_t written =
        ::write(STDERR_FILENO, what, std::char_traits<char>::length(what));
    ::_exit(124);
}

void on_fault(int signal, siginfo_t* info, void* context) {
    auto* at = static_cast<std::byte*>(info->si_addr);
    if (trap.base == nullptr || at < trap.base || at >= trap.base + trap.bytes) {
        // Not ours: let it happen again, with the usual end.
        std::signal(signal, SIG_DFL);
        return;
    }
    if (trap.open_count == most_open_pages) give_up("write_trap: one instruction writes to too many pages\n");
    std::byte* start = trap.base + static_cast<std::uint64_t>(at - trap.base) / page * page;
    ::mprotect(start, page, PROT_READ | PROT_WRITE);
    trap.open[trap.open_count++] = start;
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] |= trap_flag;
}

void on_step(int, siginfo_t*, void* context) {
    auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    if (trap.to == nullptr && trap.stores == trap.last_store) {
        if (trap.instructions-- != 0) return;
        registers[REG_EFL] &= ~trap_flag;
        ::kill(::getpid(), SIGSTOP);
        return;
    }
    registers[REG_EFL] &= ~trap_flag;
    ++trap.stores;
    if (trap.to == nullptr && trap.stores == trap.last_store) {
        ::mprotect(trap.base, trap.bytes, PROT_READ | PROT_WRITE);
        registers[REG_EFL] |= trap_flag;
        return;
    }
    bool begun = false;
    for (int i = 0; i < trap.open_count; ++i) {
        if (trap.to == nullptr) {
            ::mprotect(trap.open[i], page, PROT_READ);
            continue;
        }
        const auto offset = static_cast<std::uint64_t>(trap.open[i] - trap.base);
        add_differences(*trap.to, trap.known, trap.base, {offset, offset + page}, [&] {
            if (!begun)
                trap.to->begin_frame(trap.stores, static_cast<std::uint64_t>(registers[REG_RIP]), false);
            begun = true;
        });
        ::mprotect(trap.open[i], page, PROT_READ);
    }
    trap.open_count = 0;
}

class handlers {
public:
    handlers() {
        struct sigaction action = {};
        action.sa_flags = SA_SIGINFO;
        sigemptyset(&action.sa_mask);
        action.sa_sigaction = on_fault;
        ::sigaction(SIGSEGV, &action, &fault_before_);
        action.sa_sigaction = on_step;
        ::sigaction(SIGTRAP, &action, &step_before_);
    }
    handlers(const handlers&) = delete;
    handlers& operator=(const handlers&) = delete;
    ~handlers() {
        ::mprotect(trap.base, trap.bytes, PROT_READ | PROT_WRITE);
        ::sigaction(SIGSEGV, &fault_before_, nullptr);
        ::sigaction(SIGTRAP, &step_before_, nullptr);
        trap.base = nullptr;
    }

private:
    struct sigaction fault_before_ = {};
    struct sigaction step_before_ = {};
};

}  // namespace

bool can_trap_writes() noexcept {
    return true;
}

film film_writes(std::byte* base, const segment_image& from, const std::function<void()>& work) {
    film made(from);
    made.reserve(most_frames, most_bytes);
    segment_image known = from;
    trap = {base, from.max_bytes(), known.base(), &made, 0, {}, 0, 0, 0};
    {
        const handlers installed;
        ::mprotect(base, trap.bytes, PROT_READ);
        work();
    }
    if (made.is_full()) throw std::runtime_error("a film of a recovery is too long to be kept");
    made.set_steps(trap.stores);
    return made;
}

void stop_at_store(std::byte* base, std::uint64_t bytes, std::uint64_t store, std::uint64_t instructions,
                   const std::function<void()>& work) {
    trap = {base, bytes, nullptr, nullptr, 0, {}, 0, store, instructions};
    // To the end of the process: the last instructions may be those of what comes after `work`.
    static const handlers installed;
    ::mprotect(base, bytes, PROT_READ);
    work();
}

#else

bool can_trap_writes() noexcept {
    return false;
}

film film_writes(std::byte*, const segment_image&, const std::function<void()>&) {
    throw std::runtime_error("writes can be trapped on x86-64 only");
}

void stop_at_store(std::byte*, std::uint64_t, std::uint64_t, std::uint64_t, const std::function<void()>&) {
    throw std::runtime_error("writes can be trapped on x86-64 only");
}

#endif

}  // namespace cairn_test
