// SPDX-License-Identifier: BSL-1.0
#include "ground.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "subjects.hpp"
#include "support/values.hpp"
#include "unit/inspect/dead_writers.hpp"
#include "unit/inspect/planted.hpp"
#include <cairn/cairn.hpp>
#include <cairn/detail/os/thread_state.hpp>
#include <cairn/inspect.hpp>

namespace cairn_test {

namespace {

using namespace cairn::literals;

constexpr cairn::segment_options small = {.max_size = 2_MiB, .initial_size = 200_KiB, .persist = true};
constexpr cairn::segment_options roomy = {.max_size = 8_MiB, .initial_size = 200_KiB, .persist = true};

// More damage to a part of them finds more than less damage to all of them, in the same time.
constexpr std::size_t subjects_at_a_time = 6;

void build_all(const cairn::manager& in) {
    for (const subject& each : subjects()) each.build(in, each.name);
    static_cast<void>(in.list<double>("empty"));
    static_cast<void>(in.list<int>("removed", {1, 2, 3}));
    in.remove("removed");
}

template <typename Prepare>
sound_segment make(const char* what, const cairn::segment_options& options, Prepare prepare) {
    const scratch_name name("hostile");
    const cairn::manager m = cairn::manager::create(name, options);
    build_all(m);
    prepare(m);
    return {what, read_file(name.path())};
}

// Dies with a log that has gone on in extents of its own.
void die_with_a_long_log(const cairn::manager& m) {
    child victim([&] {
        const opened_list<std::string> l(m.list<std::string>("texts"));
        cairn::detail::root_transaction tx(l.in(), l.slot(), l.generation());
        tx.begin_change();
        for (std::uint64_t i = 0; i < 300; ++i)
            tx.log(cairn::detail::element_at(tx, l.node_ref(), i % 8), 512);
        tx.store(l.node_ref().size, 9);
        die();
    });
    REQUIRE(victim.join() == -SIGKILL);
}

void use_manager(const cairn::manager& m, bool writes, attempts& attempt) {
    attempt.begin("manager.");
    attempt("name", [&] { static_cast<void>(m.name()); });
    attempt("stats", [&] { static_cast<void>(m.stats()); });
    attempt("objects", [&] { static_cast<void>(m.objects()); });
    attempt("contains", [&] { static_cast<void>(m.contains("numbers")); });
    attempt("contains", [&] { static_cast<void>(m.contains("there is none")); });
    attempt("find", [&] { static_cast<void>(m.find<cairn::list<float>>("numbers")); });
    if (!writes) return;
    attempt("list(name)", [&] { m.list<long>("new one", std::vector<long>(300, 1)); });
    attempt("list(name)", [&] { m.list<std::string>("new texts", {std::string(300, 'x'), "y"}); });
    attempt("list()", [&] { m.list<long>().push_back(1); });
    attempt("sharded_dict(name)", [&] { m.sharded_dict<long, long>("new shards", {{1, 2}}, {.shards = 8}); });
    attempt("remove", [&] { m.remove("new shards"); });
    attempt("list()", [&] { m.list<std::string>({"a", "b"}).clear(); });
    for (const subject& each : subjects()) attempt("remove", [&] { m.remove(each.name); });
    attempt("remove", [&] { m.remove("new one"); });
    attempt("list(name)", [&] { m.list<long>("numbers", std::vector<long>(20, 1)); });
    attempt("objects", [&] { static_cast<void>(m.objects()); });
}

void inspect(const std::string& path, attempts& attempt) {
    attempt.begin("inspection.");
    attempt("inspection", [&] {
        const cairn::inspection look(path);
        attempt("facts", [&] { static_cast<void>(look.facts()); });
        attempt("participants", [&] { static_cast<void>(look.participants()); });
        attempt("objects", [&] {
            for (const cairn::object_facts& each : look.objects()) {
                attempt("contents", [&] {
                    const cairn::object_contents contents = look.contents(each.name);
                    std::string text;
                    for (std::uint64_t i = 0; i < contents.count(); i += 9) contents.append_text(text, i);
                });
            }
        });
        attempt("pools", [&] { static_cast<void>(look.pools()); });
        attempt("service_sets", [&] { static_cast<void>(look.service_sets()); });
        attempt("verify", [&] { static_cast<void>(look.verify({.deep = true, .patience_ms = 10})); });
    });
}

}  // namespace

std::vector<sound_segment> make_sound_segments() {
    std::vector<sound_segment> all;
    all.push_back(make("at rest", small, [](const cairn::manager&) {}));
    all.push_back(make("writers died in a change and in an erase", small, [](const cairn::manager& m) {
        die_in_a_change(m);
        die_in_an_erase(m);
    }));
    all.push_back(make("a creator died with the segment's lock", small, die_with_the_segment_lock));
    all.push_back(make("a creator died among the shards", small, die_with_half_of_the_shards));
    all.push_back(make("a writer died with a long log", small, die_with_a_long_log));
    // Superblocks with tables of chunks need more room, and more time.
    all.push_back(make("a large list", roomy, [](const cairn::manager& m) {
        const auto l = m.list<large_struct>("large");
        l.reserve(5000);
        l.extend(std::vector<large_struct>(30));
    }));
    return all;
}

const char* describe(treatment how) noexcept {
    switch (how) {
        case treatment::opened: return "damaged, then opened";
        case treatment::read_only: return "damaged, then read";
        case treatment::under_handles: return "opened, then damaged";
        case treatment::tidied: return "damaged, then inspected and removed";
    }
    return "?";
}

hostile_ground::hostile_ground() : name_("hostile") {}

hostile_ground::~hostile_ground() {
    if (fd_ >= 0) ::close(fd_);
}

void hostile_ground::place(const std::string& bytes) {
    struct stat named = {};
    struct stat ours = {};
    const bool is_there = fd_ >= 0 && ::stat(name_.path().c_str(), &named) == 0 && ::fstat(fd_, &ours) == 0 &&
                          named.st_ino == ours.st_ino;
    if (!is_there) {
        if (fd_ >= 0) ::close(fd_);
        ::unlink(name_.path().c_str());
        fd_ = ::open(name_.path().c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        REQUIRE(fd_ >= 0);
    }
    REQUIRE(::pwrite(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    REQUIRE(::ftruncate(fd_, static_cast<off_t>(bytes.size())) == 0);
}

void hostile_ground::use_everything(treatment how, const sound_segment& sound, const std::string& damaged,
                                    std::uint64_t choice, attempts& attempt) {
    place(how == treatment::under_handles ? sound.bytes : damaged);
    switch (how) {
        case treatment::opened: return use_opened(damaged, nullptr, true, choice, attempt);
        case treatment::read_only: return use_opened(damaged, nullptr, false, choice, attempt);
        case treatment::under_handles: return use_opened(damaged, &sound, true, choice, attempt);
        case treatment::tidied: return tidy(attempt);
    }
}

void hostile_ground::use_opened(const std::string& damaged, const sound_segment* sound, bool writes,
                                std::uint64_t choice, attempts& attempt) {
    attempt.begin({});
    std::optional<cairn::manager> m;
    attempt("open", [&] {
        m = cairn::manager::open(name_, writes ? cairn::open_mode::read_write : cairn::open_mode::read_only);
    });
    if (!m) return;
    std::vector<std::pair<const char*, std::function<void(attempts&, bool)>>> handles;
    const std::span<const subject> all = subjects();
    for (std::size_t i = 0; i < std::min(subjects_at_a_time, all.size()); ++i) {
        const subject& each = all[(choice + i) % all.size()];
        attempt(each.name, [&] { handles.emplace_back(each.name, each.open(*m, each.name)); });
    }
    if (sound != nullptr) {
        // Word by word where it differs: what the library has written meanwhile (locks, counts) stays.
        // The ends of what is backed, and of what readers look at, are believed once they are checked: who moves them takes the memory
        // away.
        using control = cairn::detail::segment_control;
        const std::uint64_t words = sound->map.header.control_offset;
        const std::array<std::size_t, 2> ends{words + offsetof(control, committed_bytes),
                                              words + offsetof(control, shown_bytes)};
        for (std::size_t at = 0; at + 8 <= damaged.size(); at += 8)
            if (std::ranges::find(ends, at) == ends.end() && damaged.compare(at, 8, sound->bytes, at, 8) != 0)
                REQUIRE(::pwrite(fd_, damaged.data() + at, 8, static_cast<off_t>(at)) == 8);
    }
    for (const auto& [name, use] : handles) {
        attempt.begin(std::string(name) + ".");
        use(attempt, writes);
    }
    use_manager(*m, writes, attempt);
    attempt.begin({});
    attempt("close", [&] {
        handles.clear();
        m.reset();
    });
}

void hostile_ground::tidy(attempts& attempt) {
    inspect(name_.path(), attempt);
    attempt.begin({});
    attempt("locate", [&] {
        const cairn::segment_location where = cairn::locate_segment(name_.get());
        attempt("collect, dry", [&] { static_cast<void>(cairn::collect_segment(where, true)); });
        attempt("collect", [&] { static_cast<void>(cairn::collect_segment(where)); });
        attempt("remove", [&] { cairn::remove_segment(where, false); });
        attempt("remove, forced", [&] { cairn::remove_segment(where, true); });
    });
}

std::string left_behind() {
    const auto& thread = cairn::detail::this_thread;
    if (thread.open != nullptr) return "the thread counts as inside an operation";
    if (thread.in_segment_lock) return "the thread counts as a holder of the segment's lock";
    return {};
}

}  // namespace cairn_test
