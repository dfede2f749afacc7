// SPDX-License-Identifier: BSL-1.0
#include "support/crash/laboratory.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <sstream>
#include <stdexcept>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/unique_fd.hpp"
#include "segment/lifecycle.hpp"
#include "support/crash/real_kill.hpp"
#include "support/crash/victim.hpp"
#include "support/crash/watched_child.hpp"
#include "support/crash/write_trap.hpp"

namespace cairn_test {

namespace {

using clock = std::chrono::steady_clock;

constexpr int most_checkers = 4;  // a checker that dies is replaced, behind the image that killed it
constexpr std::size_t most_instructions = 5'000'000;
constexpr std::uint64_t share_of_stepped_rows = 8;  // one in so many, another one with each seed

double seconds_since(clock::time_point begin) {
    return std::chrono::duration<double>(clock::now() - begin).count();
}

// Somebody else's segment, as its bytes.
class bytes_of_victim {
public:
    explicit bytes_of_victim(const victim& v) {
        const cairn::detail::os::unique_fd file(::open(v.segment_path().c_str(), O_RDWR | O_CLOEXEC));
        struct stat status = {};
        if (!file.valid() || ::fstat(file.get(), &status) != 0)
            throw std::runtime_error("the victim's segment cannot be opened");
        bytes_ = static_cast<std::size_t>(status.st_size);
        void* at = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
        if (at == MAP_FAILED) throw std::runtime_error("the victim's segment cannot be mapped");
        base_ = static_cast<std::byte*>(at);
    }
    bytes_of_victim(const bytes_of_victim&) = delete;
    bytes_of_victim& operator=(const bytes_of_victim&) = delete;
    ~bytes_of_victim() { ::munmap(base_, bytes_); }

    [[nodiscard]] std::byte* base() const noexcept { return base_; }

private:
    std::byte* base_ = nullptr;
    std::size_t bytes_ = 0;
};

// From its mark to the next one.
film film_of(victim& v) {
    const bytes_of_victim bytes(v);
    film made{segment_image(bytes.base())};
    segment_image known = made.first();
    std::uint64_t steps = 0;
    for (; v.step(); ++steps) {
        if (steps == most_instructions)
            throw std::runtime_error("an operation of too many instructions to step through");
        bool begun = false;
        for (const byte_range& range : backed_ranges(bytes.base())) {
            add_differences(made, known.base(), bytes.base(), range, [&] {
                if (!begun) made.begin_frame(steps + 1, v.location(), v.is_acknowledged());
                begun = true;
            });
        }
    }
    if (!v.is_acknowledged()) throw std::runtime_error("the operation did not return");
    made.set_steps(steps);
    return made;
}

}  // namespace

film film_by_stepping(const experiment& what, std::uint32_t& thread) {
    victim v([&](stage& s) { play(what, s); });
    thread = v.shared().thread;
    film made = film_of(v);
    // The image of the end, whether or not a frame came after the return: whoever is killed now has long returned.
    made.begin_frame(made.steps(), v.location(), true);
    return made;
}

film film_by_stores(const experiment& what, std::uint32_t& thread) {
    cairn::detail::os::unique_fd file(::memfd_create("film", MFD_CLOEXEC));
    if (!file.valid()) throw std::runtime_error("no file for a film");
    const shared_object<std::atomic<std::uint64_t>> progress;
    std::string problem;
    const std::string ended = watch_child(
        [&](const line_writer& tell) {
            const auto made = cairn::detail::create_anonymous("crash-subject", what.options);
            const cairn::manager m(made);
            what.prepare(m);
            const std::unique_ptr<visitor> self = what.visit(m);
            film taken = film_writes(made->base(), segment_image(made->base()), [&] { self->operate(); });
            // As by stepping: nothing changes between the last store and the death of somebody who has returned.
            taken.begin_frame(taken.steps(), 0, true);
            taken.save(file.get());
            tell("thread " + std::to_string(::gettid()));
        },
        [&](const std::string& line) {
            if (line.starts_with("thread ")) thread = static_cast<std::uint32_t>(std::stoul(line.substr(7)));
            else problem = line;
        },
        *progress);
    if (!problem.empty()) throw std::runtime_error("the victim cannot be filmed: " + problem);
    if (!ended.empty()) throw std::runtime_error("the victim that is filmed " + ended);
    ::lseek(file.get(), 0, SEEK_SET);
    return film::load(file.get());
}

film film_recovery_by_stepping(const experiment& what, const segment_image& healthy,
                               const segment_image& image, approach how, std::uint32_t& thread) {
    victim v([&](stage& s) {
        survivor self(what, healthy);
        self.restore(image);
        s.descriptor = self.descriptor();
        s.thread = static_cast<std::uint32_t>(::gettid());
        s.mark();
        static_cast<void>(self.handles().touch(how));
        s.acknowledge();
        s.mark();
    });
    thread = v.shared().thread;
    return film_of(v);
}

namespace {

// Lets checkers at the film until one gets to its end.
void check_in_children(const experiment& what, const film& of, std::uint32_t thread, const thoroughness& how,
                       row_result& result) {
    shared_object<checker_progress> progress;
    for (int attempt = 0;; ++attempt) {
        if (attempt == most_checkers) {
            result.failures.emplace_back(
                "the rest of the images is not looked at: too many of them kill who does");
            return;
        }
        const std::string ended = watch_child(
            [&](const line_writer& tell) {
                checker_counts own;
                check_film(what, of, thread, how, *progress, own,
                           [&](const std::string& failure) { tell("failure " + failure); });
                std::ostringstream words;
                words << "counts " << own;
                tell(words.str());
            },
            [&](const std::string& line) {
                if (line.starts_with("failure ")) result.failures.emplace_back(line.substr(8));
                if (!line.starts_with("counts ")) return;
                std::istringstream words(line.substr(7));
                checker_counts of_child;
                words >> of_child;
                result.counts += of_child;
            },
            progress->count);
        if (ended.empty()) return;
        const std::uint32_t next = progress->next_frame;
        result.failures.emplace_back(std::string(progress->where) + " [" +
                                     (next < 2 ? "before the first instruction" : of.describe(next - 2)) +
                                     "]: the checker " + ended);
        if (next == 0) return;
    }
}

// What differs between rows and seeds.
std::uint64_t turn_of(const experiment& what, std::uint64_t seed) {
    return std::hash<std::string>()(what.name) / 2 + seed;
}

// Every k-th place, beginning somewhere in the first k. Of `steps` stores: a few instructions behind one, or before the
// first; of instructions: there.
void kill_some(const experiment& what, bool by_stores, std::uint64_t steps, std::uint64_t count,
               std::uint64_t seed, row_result& result) {
    constexpr std::uint64_t most_instructions_on = 40;  // stores are some twenty instructions apart
    constexpr std::uint64_t most_before_store = 200;    // a lock is taken by then
    const std::uint64_t distance = std::max<std::uint64_t>(1, steps / count);
    const std::uint64_t turn = turn_of(what, seed);
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t step = distance * i + turn * 7919 % distance;
        kill_place where{0, step};
        if (by_stores)
            where = {step, (turn + i) * 104729 % (step == 0 ? most_before_store : most_instructions_on)};
        const kill_outcome killed = kill_for_real(what, where, (i + turn) % 2 == 0);
        ++result.kills;
        if (!killed.failure.empty()) result.failures.emplace_back(killed.failure);
        else if (killed.microseconds > 0) result.waits.push_back(killed.microseconds);
    }
}

thoroughness how_thorough(const lab_settings& settings) {
    thoroughness how;
    how.seed = settings.seed;
    how.every_approach = settings.full;
    if (settings.full) return how;
    // Measured: an image takes 1 ms, a film 2 ms, an image of a film 0.5 ms; some 700 rows share two processors.
    how.most_images = 200;
    how.most_films = 60;
    how.most_recovery_images = 500;
    return how;
}

// A victim is led to its end in some 25 us an instruction, or 80 us a store, of which there is one in twenty instructions:
// long operations get fewer of them.
std::uint64_t kills_for(std::uint64_t steps, bool stepped, const lab_settings& settings) {
    const std::uint64_t budget = (settings.full ? 400'000 : 20'000) / (stepped ? 1 : 20);
    return std::clamp<std::uint64_t>(budget / std::max<std::uint64_t>(1, steps), 1, settings.full ? 24 : 4);
}

}  // namespace

row_result run_row(const experiment& what, const lab_settings& settings) {
    row_result result;
    result.name = what.name;
    const auto begin = clock::now();
    try {
        if (what.procedure) {
            what.procedure(settings, result);
            result.seconds = seconds_since(begin);
            return result;
        }
        std::uint32_t thread = 0;
        const bool stepped = !can_trap_writes() || settings.step_all ||
                             turn_of(what, settings.seed) % share_of_stepped_rows == 0;
        const film made = stepped ? film_by_stepping(what, thread) : film_by_stores(what, thread);
        if (stepped) result.instructions = made.steps();
        result.stores = made.frames().size();
        check_in_children(what, made, thread, how_thorough(settings), result);
        kill_some(what, !stepped, made.steps(), kills_for(made.steps(), stepped, settings), settings.seed,
                  result);
    } catch (const std::exception& e) {
        result.failures.emplace_back(e.what());
    }
    result.seconds = seconds_since(begin);
    return result;
}

}  // namespace cairn_test
