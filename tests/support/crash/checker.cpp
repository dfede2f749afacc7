// SPDX-License-Identifier: BSL-1.0
#include "support/crash/checker.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <unistd.h>

#include "support/crash/laboratory.hpp"
#include "support/crash/write_trap.hpp"

namespace cairn_test {

namespace {

constexpr int most_failures = 8;  // in one row; they tend to have one cause

class checker {
public:
    checker(const experiment& what, const film& of, std::uint32_t thread, const thoroughness& how,
            checker_progress& progress, checker_counts& counts,
            const std::function<void(const std::string&)>& report)
        : what_(what), film_(of), thread_(thread), how_(how), progress_(progress), counts_(counts),
          report_(report), survivor_(what, of.first()) {}

    void run() {
        plan();
        const std::uint32_t begin = progress_.next_frame.load();
        segment_image image = film_.first();
        image_identity identity(image);
        for (std::size_t index = 0; index < plans_.size() && failures_ < most_failures; ++index) {
            if (index != 0) film_.advance(image, index - 1, identity);
            if (index < begin || !plans_[index].check) continue;
            progress_.next_frame = static_cast<std::uint32_t>(index + 1);
            index_ = index;
            static_cast<void>(identity.of(image));
            check_image(image, identity, plans_[index]);
        }
    }

private:
    // What is done with an image. Image 0 is that before the first instruction, the others follow the film's frames.
    struct image_plan {
        std::uint64_t id = 0;
        bool check = false;
        bool film = false;
        bool acknowledged = false;
    };

    void plan() {
        segment_image image = film_.first();
        image_identity identity(image);
        std::unordered_set<std::uint64_t> ids;
        std::unordered_set<std::uint64_t> structures;
        std::vector<std::size_t> first_of_structure;
        std::vector<std::size_t> others;
        plans_.resize(film_.frames().size() + 1);
        for (std::size_t index = 0; index < plans_.size(); ++index) {
            if (index != 0) film_.advance(image, index - 1, identity);
            image_plan& p = plans_[index];
            p.id = identity.of(image);
            p.acknowledged = index != 0 && film_.frames()[index - 1].acknowledged;
            if (!ids.insert(p.id).second) p.check = true;  // known: only its place in the order is looked at
            else if (structures.insert(identity.of_structure()).second) first_of_structure.push_back(index);
            else others.push_back(index);
        }
        std::uint64_t images_left = how_.most_images;
        std::uint64_t films_left = how_.most_films;
        for (const auto* group : {&first_of_structure, &others}) {
            choose(*group, images_left, [&](std::size_t index) { plans_[index].check = true; });
            choose(*group, films_left, [&](std::size_t index) { plans_[index].film = plans_[index].check; });
        }
        counts_.skipped_images = ids.size() - (how_.most_images - images_left);
        recovery_images_for_each_film_ = std::max<std::uint64_t>(
            4, how_.most_recovery_images / std::max<std::uint64_t>(1, how_.most_films - films_left));
    }

    // At most `left` of the group, evenly; the seed says which.
    template <typename Take>
    void choose(const std::vector<std::size_t>& group, std::uint64_t& left, Take take) const {
        if (left == 0) return;
        const std::uint64_t stride = (group.size() + left - 1) / left;
        for (std::size_t i = 0; i < group.size(); ++i) {
            if (stride > 1 && (i + how_.seed) % stride != 0) continue;
            take(group[i]);
            --left;
        }
    }

    // One image of the operation. To its identity a lock that is held and one whose owner died are the same.
    void check_image(segment_image image, const image_identity& identity, const image_plan& p) {
        const auto known = outcomes_.find(p.id);
        if (known != outcomes_.end()) {
            require_order(known->second, p.acknowledged);
            return;
        }
        ++counts_.images;
        image.mark_dead(thread_);
        std::optional<outcome> result;
        const std::uint64_t turn = counts_.images + how_.seed;
        check_newcomer(image, approaches[(turn + 1) % 3], result);
        if (how_.every_approach) {
            for (const approach a : approaches) check_recovery(image, identity, a, p.film, result);
        } else {
            check_recovery(image, identity, approaches[turn % 3], p.film, result);
        }
        if (!result) return;  // failed, and reported
        outcomes_.emplace(p.id, *result);
        require_order(*result, p.acknowledged);
    }

    // There is one instant at which an operation becomes done, and nothing that has returned may be undone.
    void require_order(outcome result, bool acknowledged) {
        if (acknowledged && result == outcome::before) fail("the operation had returned, and was undone");
        if (result == outcome::before && seen_after_)
            fail("done at an earlier instruction, undone at this one");
        if (result == outcome::after) seen_after_ = true;
    }

    void check_newcomer(const segment_image& image, approach how, std::optional<outcome>& result) {
        at("newcomer", how, -1);
        attempt([&] { agree(judge_as_newcomer(what_, image, how), result); });
    }

    void check_recovery(const segment_image& image, const image_identity& identity, approach how, bool filmed,
                        std::optional<outcome>& result) {
        // 1. A recovery that nobody disturbs, filmed.
        at("survivor", how, -1);
        film recovery;
        attempt([&] {
            survivor_.restore(image);
            std::optional<outcome> seen;
            auto touch = [&] { seen = survivor_.handles().touch(how); };
            if (filmed) recovery = film_recovery(image, how, touch);
            else touch();
            agree(judge(survivor_.handles(), survivor_.in(), seen), result);
        });
        if (!result || recovery.frames().empty()) return;
        // 2. Killed at each of its stores, and recovered again.
        std::vector<std::uint64_t> ids;
        std::uint64_t unknown = 0;
        segment_image current = recovery.first();
        image_identity current_identity = identity;
        for (std::size_t index = 0; index < recovery.frames().size(); ++index) {
            recovery.advance(current, index, current_identity);
            ids.push_back(current_identity.of(current));
            if (!outcomes_.contains(ids.back())) ++unknown;
        }
        const std::uint64_t stride =
            (unknown + recovery_images_for_each_film_ - 1) / recovery_images_for_each_film_;
        current = recovery.first();
        std::uint64_t turn = how_.seed + counts_.films;
        for (std::size_t index = 0; index < ids.size() && failures_ < most_failures; ++index) {
            recovery.advance(current, index);
            if (const auto known = outcomes_.find(ids[index]); known != outcomes_.end())
                require_same(known->second, *result, recovery, index);
            else if (stride > 1 && ++turn % stride != 0) ++counts_.skipped_recovery_images;
            else check_recovery_image(current, ids[index], recovery, index, *result);
        }
    }

    film film_recovery(const segment_image& image, approach how, const std::function<void()>& touch) {
        ++counts_.films;
        recoverer_ = static_cast<std::uint32_t>(::gettid());
        if (can_trap_writes()) return film_writes(survivor_.in().base(), survivor_.look_at_bytes(), touch);
        touch();
        return film_recovery_by_stepping(what_, film_.first(), image, how, recoverer_);
    }

    void require_same(outcome found, outcome expected, const film& recovery, std::size_t index) {
        if (found == expected) return;
        fail(std::string("interrupted here a recovery ends in '") + name_of(found) + "', undisturbed in '" +
             name_of(expected) + "'; " + recovery.describe(index));
    }

    void check_recovery_image(const segment_image& current, std::uint64_t id, const film& recovery,
                              std::size_t index, outcome expected) {
        const approach how = approaches[(id + how_.seed) % 3];
        at("recovery", how, static_cast<int>(index));
        outcomes_.emplace(id, expected);
        ++counts_.recovery_images;
        segment_image image = current;
        image.mark_dead(recoverer_);
        std::optional<outcome> result = expected;
        const int before = failures_;
        attempt([&] {
            survivor_.restore(image);
            agree(recover_and_judge(survivor_.handles(), survivor_.in(), how), result);
        });
        if (failures_ != before) report_("    ... its recovery, " + recovery.describe(index));
    }

    void agree(outcome found, std::optional<outcome>& result) {
        if (result && *result != found) {
            throw lab_failure(std::string("ends in '") + name_of(found) +
                              "', where another recovery of the same image "
                              "ended in '" +
                              name_of(*result) + "'");
        }
        result = found;
    }

    template <typename Work>
    void attempt(Work work) {
        try {
            work();
        } catch (const std::exception& e) {
            fail(e.what());
        }
    }

    void at(const char* phase, approach how, int recovery_index) {
        progress_.count.fetch_add(1, std::memory_order_relaxed);
        std::snprintf(progress_.where, sizeof progress_.where, "image %zu, %s, %s, recovery image %d", index_,
                      phase, name_of(how), recovery_index);
    }

    void fail(const std::string& problem) {
        ++failures_;
        const std::string where = index_ == 0 ? "before the first instruction" : film_.describe(index_ - 1);
        report_(std::string(progress_.where) + " [" + where + "]: " + problem);
    }

    const experiment& what_;
    const film& film_;
    const std::uint32_t thread_;
    const thoroughness how_;
    checker_progress& progress_;
    checker_counts& counts_;
    const std::function<void(const std::string&)>& report_;
    std::uint32_t recoverer_ = 0;  // thread of the filmed recovery
    survivor survivor_;
    std::unordered_map<std::uint64_t, outcome> outcomes_;  // of images checked already
    std::vector<image_plan> plans_;
    std::uint64_t recovery_images_for_each_film_ = 0;
    std::size_t index_ = 0;
    int failures_ = 0;
    bool seen_after_ = false;
};

}  // namespace

void check_film(const experiment& what, const film& of, std::uint32_t thread, const thoroughness& how,
                checker_progress& progress, checker_counts& counts,
                const std::function<void(const std::string&)>& report) {
    checker(what, of, thread, how, progress, counts, report).run();
}

}  // namespace cairn_test
