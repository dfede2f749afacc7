// system_limits_test.cpp - limits of the system that a program reaches: descriptors, addresses, stacks, memory. What happens there is
// an error that names the limit, or a death that harms nobody else. docs/limits.md has all limits.
//
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/opened.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace system_limits_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t little = std::uint64_t{1} << 20;
constexpr std::uint64_t page = 4096;

void limit(decltype(RLIMIT_AS) what, std::uint64_t most) {
    const rlimit given = {most, most};
    CHILD_CHECK(::setrlimit(what, &given) == 0);
}

std::uint64_t addresses_taken() {
    std::uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return pages * page;
}

// Makes segments until that is an error, which is returned; those made so far are in `made`.
template <typename Error>
std::string make_until_full(std::vector<cairn::manager>& made, std::uint64_t bytes_each) {
    return thrown_by<Error>([&] {
        for (int i = 0; i < 100'000; ++i) made.emplace_back(cairn::segment_options{.max_size = bytes_each});
    });
}

// After an error: what there is works, and when some are gone there is room again.
void check_still_usable(std::vector<cairn::manager>& made, std::uint64_t bytes_each) {
    const auto l = made.front().list<long>("l", {1});
    l.append(2);
    CHILD_CHECK((l == std::vector<long>{1, 2}));
    made.pop_back();
    made.pop_back();
    made.emplace_back(cairn::segment_options{.max_size = bytes_each});
    CHILD_CHECK(made.back().list<long>("l", {3}).size() == 1);
}

}  // namespace

TEST_CASE("a process has as many segments as it has descriptors, and the error says so") {
    if (has_address_sanitizer) return;  // reads /proc, for which it wants a descriptor
    CHECK(in_child([] {
              limit(RLIMIT_NOFILE, 64);
              std::vector<cairn::manager> made;
              made.reserve(100);
              // The last descriptor is wanted for a look at /proc.
              const std::string text = make_until_full<cairn::refused>(made, little);
              CHILD_CHECK(contains(text, "attach to anonymous segment"));
              CHILD_CHECK(contains(text, "`ulimit -n`"));
              CHILD_CHECK(made.size() > 32);
              check_still_usable(made, little);
              for (int fd = 0; fd >= 0;) fd = ::dup(0);
              const std::string none = thrown_by<cairn::system_failure>([] { const cairn::manager m; });
              CHILD_CHECK(contains(none, "Too many open files (each segment of a process takes one"));
          }) == 0);
}

TEST_CASE("a process has as many segments as their sizes have room in its addresses, and the error says so") {
    if (has_address_sanitizer || has_thread_sanitizer) return;  // they have taken most addresses themselves
    CHECK(in_child([] {
              limit(RLIMIT_AS, addresses_taken() + 256 * little);
              std::vector<cairn::manager> made;
              made.reserve(100);
              const std::string text = make_until_full<cairn::segment_full>(made, 16 * little);
              CHILD_CHECK(contains(text, "create segment 'anonymous-"));
              CHILD_CHECK(contains(text, "bytes of addresses in one piece"));
              CHILD_CHECK(contains(text, "`ulimit -v`"));
              CHILD_CHECK(made.size() > 8);
              CHILD_CHECK(made.size() <= 16);
              check_still_usable(made, 16 * little);
          }) == 0);
    // A process that opens one is told the same.
    const scratch_name name;
    const gate is_made;
    child outsider([&] {
        CHILD_CHECK(is_made.wait());
        limit(RLIMIT_AS, addresses_taken() + 32 * little);
        const std::string text = thrown_by<cairn::segment_full>([&] { cairn::manager::open(name.get()); });
        CHILD_CHECK(contains(text, "open segment '" + name.get() + "'"));
        CHILD_CHECK(contains(text, "bytes of addresses in one piece"));
    });
    const auto named = cairn::manager::create(name.get(), {.max_size = 64 * little});
    is_made.open();
    CHECK(outsider.join() == 0);
}

TEST_CASE("a process without room for another mapping can make no segment, and the error says so") {
    std::uint64_t most = 0;
    std::ifstream("/proc/sys/vm/max_map_count") >> most;
    if (has_address_sanitizer || has_thread_sanitizer || most == 0 || most > 200'000) {
        MESSAGE("skipped: not with sanitizers, nor for " << most << " mappings");
        return;
    }
    const cairn::manager before({.max_size = little});
    CHECK(in_child([&] {
              // Every other page with other rights: each is a mapping.
              const std::size_t bytes = 2 * most * page;
              void* const all =
                  ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
              CHILD_CHECK(all != MAP_FAILED);
              std::size_t at = 0;
              while (at < bytes && ::mprotect(static_cast<std::byte*>(all) + at, page, PROT_READ) == 0)
                  at += 2 * page;
              CHILD_CHECK(at < bytes);
              // That takes two more each time: the last ones singly.
              for (int i = 0; i < 100; ++i)
                  static_cast<void>(::mmap(nullptr, page, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
              const std::string text =
                  thrown_by<cairn::segment_full>([] { const cairn::manager m({.max_size = little}); });
              CHILD_CHECK(contains(text, "vm.max_map_count"));
              before.list<long>("l").append(1);
              CHILD_CHECK(::munmap(all, bytes) == 0);
              const cairn::manager again({.max_size = little});
              again.list<long>("l").append(1);
          }) == 0);
    CHECK(before.list<long>("l").size() == 1);
}

TEST_CASE("an element, and a key, may have nearly all bytes of a segment; a larger one is segment_full and "
          "changes nothing") {
    constexpr std::uint64_t size = 32 * little;
    const std::string fits(size / 8 * 7, 'x');
    const std::string too_large(size + 1, 'y');
    const auto full = [](const std::function<void()>& put) {
        return contains(thrown_by<cairn::segment_full>(put), "max_size");
    };
    {
        const cairn::manager m({.max_size = size});
        const auto l = m.list<std::string>("l");
        l.push_back(fits);
        CHECK(full([&] { l.push_back(too_large); }));
        CHECK(full([&] { l.set(0, too_large); }));
        CHECK(l.size() == 1);
        CHECK((l.pop() == fits));
    }
    {
        const cairn::manager m({.max_size = size});
        const auto d = m.dict<std::string, std::string>("d");
        d.set("k", fits);
        CHECK(full([&] { d.set("k", too_large); }));
        CHECK((d.get("k") == fits));
        CHECK(d.erase("k"));
        d.set(fits, "v");
        CHECK(full([&] { d.set(too_large, "v"); }));
        CHECK(d.size() == 1);
        CHECK(d.get(fits) == "v");
        CHECK_FALSE(d.contains(too_large));
        CHECK(d.erase(fits));
    }
    {
        const cairn::manager m({.max_size = size});
        const auto s = m.set<std::string>("s");
        CHECK(s.add(fits));
        CHECK(full([&] { s.add(too_large); }));
        CHECK(s.contains(fits));
        CHECK(s.size() == 1);
    }
    {
        const cairn::manager m({.max_size = size});
        const auto d = m.sharded_dict<std::string, long>("d");
        d.set(fits, 7);
        CHECK(full([&] { d.set(too_large, 8); }));
        CHECK(d.get(fits) == 7);
        CHECK(d.size() == 1);
    }
    {
        const cairn::manager m({.max_size = size});
        const auto q = m.queue<std::string>("q");
        q.put(fits);
        CHECK(full([&] { q.put(too_large); }));
        CHECK(q.size() == 1);
        CHECK((q.get() == fits));
    }
    {
        const cairn::manager m({.max_size = size});
        const auto q = m.priority_queue<std::string>("q");
        q.put(fits);
        CHECK(full([&] { q.put(too_large); }));
        CHECK((q.get() == fits));
    }
}

// -- stacks ---------------------------------------------------------------------------------------------------------

namespace {

struct large {
    std::array<long, little / sizeof(long)> words;
};

// Sanitizers put more on a stack, and into the thread's own data, which the system takes from it.
constexpr std::size_t small_stack = is_sanitized ? 1 << 20 : 64 << 10;
constexpr std::size_t stack_for_one = (is_sanitized ? 16 : 8) * sizeof(large) + small_stack;

// In a child's thread with a stack of that size. What in_child() returns.
int on_stack(std::size_t bytes, const std::function<void()>& body) {
    return in_child([&] {
        limit(RLIMIT_CORE, 0);
        pthread_attr_t attributes;
        CHILD_CHECK(::pthread_attr_init(&attributes) == 0);
        CHILD_CHECK(::pthread_attr_setstacksize(&attributes, bytes) == 0);
        std::string problem;
        std::pair<const std::function<void()>&, std::string&> both(body, problem);
        pthread_t thread;
        const auto run = [](void* given) -> void* {
            auto& [call, text] = *static_cast<decltype(both)*>(given);
            try {
                call();
            } catch (const std::exception& e) {
                text = e.what();
            }
            return nullptr;
        };
        CHILD_CHECK(::pthread_create(&thread, &attributes, run, &both) == 0);
        CHILD_CHECK(::pthread_join(thread, nullptr) == 0);
        if (!problem.empty()) throw std::runtime_error(problem);
    });
}

}  // namespace

TEST_CASE("a stack of 64 KiB is enough for operations, and for putting in elements of any size") {
    const auto all = std::make_unique<large>();
    CHECK(on_stack(small_stack, [&] {
              const cairn::manager m({.max_size = 64 * little});
              const auto l = m.list<long>("l");
              for (long i = 0; i < 5000; ++i) l.append(i * 7919 % 5000);
              l.sort();
              l.insert(7, 7);
              l.reverse();
              l.transaction([](auto& tx) { tx.append(1); });
              CHILD_CHECK(cairn::erase_if(l, [](long v) { return v % 2 == 0; }) == 2500);
              CHILD_CHECK(l.snapshot().size() == l.size());
              const auto d = m.dict<std::string, std::string>("d");
              for (int i = 0; i < 5000; ++i) d.set(std::to_string(i), std::string(100, 'x'));
              d.update("7", [](std::string& v) { v = "y"; });
              CHILD_CHECK(d.erase("8"));
              const auto q = m.queue<std::string>("q");
              q.put("x");
              CHILD_CHECK(q.get() == "x");
              CHILD_CHECK(!q.get_for(1ms));
              const auto p = m.priority_queue<long>("p");
              p.put(1);
              CHILD_CHECK(p.get() == 1);
              const auto c = m.channel<long>("c", 4);
              c.put(1);
              CHILD_CHECK(c.get() == 1);
              const auto s = m.sharded_dict<long, long>("s");
              s.set(1, 2);
              CHILD_CHECK(!thrown_by<cairn::type_mismatch>([&] { m.list<int>("l"); }).empty());
              const auto many = m.list<large>("many");
              many.append(*all);
              many.set(0, *all);
              many.insert(0, *all);
              many.transaction([&](auto& tx) { tx.append(*all); });
              many.reverse();
              many.erase(0);
              const auto by_key = m.dict<long, large>("by key");
              by_key.set(1, *all);
              const auto to_do = m.queue<large>("to do");
              to_do.put(*all);
              const auto to_pass = m.channel<large>("to pass", 2);
              to_pass.put(*all);
          }) == 0);
}

TEST_CASE("what is given back by value is on the caller's stack, up to eight times; beyond that a process "
          "dies alone") {
    const cairn::manager m({.max_size = 128 * little});
    const auto all = std::make_unique<large>();
    const auto l = m.list<large>("l");
    const auto d = m.dict<long, large>("d");
    const auto q = m.queue<large>("q");
    const auto c = m.channel<large>("c", 4);
    l.append(*all);
    l.append(*all);
    d.set(1, *all);
    q.put(*all);
    c.put(*all);
    const std::vector<std::function<void()>> all_ways = {
        [&] { CHILD_CHECK(l.get(0).words[0] == 0); },
        [&] {
            for (const auto& each : l) CHILD_CHECK(each.words[1] == 0);
        },
        [&] { CHILD_CHECK(l.snapshot().size() == 2); },
        [&] { l.sort([](const large& a, const large& b) { return a.words[0] < b.words[0]; }); },
        [&] { CHILD_CHECK(d.get(1).has_value()); },
        [&] { CHILD_CHECK(d.pop(1).words[0] == 0); },
        [&] { CHILD_CHECK(q.get().words[0] == 0); },
        [&] { CHILD_CHECK(c.get().words[0] == 0); },
        [&] { CHILD_CHECK(l.pop().words[0] == 0); },
    };
    for (std::size_t i = 0; i < all_ways.size(); ++i) {
        CAPTURE(i);
        CHECK(on_stack(stack_for_one, all_ways[i]) == 0);
    }
    CHECK(l.size() == 1);
    CHECK(d.empty());
    CHECK(q.empty());
    CHECK(c.empty());
    const int ended = on_stack(small_stack, [&] { CHILD_CHECK(l.pop().words[0] == 0); });
    if (is_sanitized) CHECK(ended != 0);
    else CHECK(ended == -SIGSEGV);
    // Before or after: where the stack ends depends on the compiler.
    const std::size_t left = l.size();
    CHECK(left <= 1);
    l.append(*all);
    CHECK(l.size() == left + 1);
    CHECK(broken_invariant(l) == "");
}

// -- memory ---------------------------------------------------------------------------------------------------------

namespace {

// A control group with a limit of memory, of this test's own. Nothing where the system gives us none.
class memory_group {
public:
    explicit memory_group(std::uint64_t most) {
        const std::string name = "/cairn-test-" + std::to_string(::getpid());
        for (const auto& [where, file] :
             {std::pair<std::string, std::string>{"/memory", "memory.limit_in_bytes"},
              std::pair<std::string, std::string>{"", "memory.max"}}) {
            path_ = "/sys/fs/cgroup" + where + name;
            if (::mkdir(path_.c_str(), 0755) != 0) continue;
            if (write(file, std::to_string(most))) return;
            ::rmdir(path_.c_str());
        }
        path_.clear();
    }
    memory_group(const memory_group&) = delete;
    memory_group& operator=(const memory_group&) = delete;
    ~memory_group() {
        if (!path_.empty()) ::rmdir(path_.c_str());
    }
    [[nodiscard]] bool is_there() const { return !path_.empty(); }
    /// The calling process goes into it.
    [[nodiscard]] bool join() const { return write("cgroup.procs", std::to_string(::getpid())); }

private:
    [[nodiscard]] bool write(const std::string& file, const std::string& text) const {
        std::ofstream to(path_ + "/" + file);
        return static_cast<bool>(to << text << std::flush);
    }
    std::string path_;
};

bool has_swap() {
    std::ifstream swaps("/proc/swaps");
    std::string line;
    return std::getline(swaps, line) && std::getline(swaps, line);
}

}  // namespace

TEST_CASE("a process that the out-of-memory killer ends in the middle of a put harms nobody else") {
    constexpr std::uint64_t most = 64 * little;
    constexpr int not_allowed = 77;
    const memory_group group(most);
    if (!group.is_there() || has_swap()) {
        MESSAGE("skipped: no control group of memory can be made here, or the system swaps");
        return;
    }
    // More than there is memory for.
    const cairn::manager m({.max_size = 16 * most});
    const auto l = m.list<std::string>("l");
    const auto text_of = [](std::size_t i) { return std::string(little, static_cast<char>('a' + i % 26)); };
    const int ended = in_child([&] {
        if (!group.join()) ::_exit(not_allowed);
        for (std::size_t i = 0; i < 4 * most / little; ++i) l.push_back(text_of(i));
    });
    if (ended == not_allowed) return;
    CHECK(ended == -SIGKILL);
    const std::size_t count = l.size();
    CHECK(count > 8);
    CHECK(count < most / little);
    for (std::size_t i = 0; i < count; ++i) REQUIRE((l.get(i) == text_of(i)));
    l.push_back(text_of(count));
    CHECK(l.size() == count + 1);
    CHECK(broken_invariant(l) == "");
}

}  // namespace system_limits_test
