// SPDX-License-Identifier: BSL-1.0
#include "words.hpp"

#include <algorithm>
#include <array>
#include <chrono>

#include <pwd.h>

#include <fmt/format.h>

#include <cairn/error.hpp>

namespace shmctl {

namespace {

// What follows "open segment 'x': ", without the advice that is for programs.
std::string reason_of(const std::exception& e) {
    std::string text = e.what();
    const std::size_t begin = text.find("': ");
    if (begin != std::string::npos) text.erase(0, begin + 3);
    return text.substr(0, text.find("; "));
}

struct company {
    std::uint64_t live_count = 0;
    std::uint64_t dead_count = 0;
    bool has_unknown = false;
    bool is_creator_dead = false;
};

company company_in(const cairn::inspection& look) {
    company found;
    for (const cairn::participant_facts& each : look.participants()) {
        if (each.state == cairn::presence::alive) ++found.live_count;
        if (each.state == cairn::presence::dead) ++found.dead_count;
        if (each.state == cairn::presence::unknown) found.has_unknown = true;
        if (each.is_creator && each.state == cairn::presence::dead) found.is_creator_dead = true;
    }
    return found;
}

std::string state_of(const cairn::segment_location& where, const cairn::segment_facts& facts,
                     const company& with) {
    if (facts.is_truncated) return "damaged";
    if (where.is_image) return "image";
    if (with.has_unknown) return "unknown";
    if (with.live_count != 0 || where.is_anonymous) return "live";
    return facts.is_persistent ? "idle" : "orphan";
}

std::vector<std::string> notes_on(const cairn::segment_facts& facts, const company& with, bool is_orphan) {
    std::vector<std::string> notes;
    if (facts.is_truncated) notes.emplace_back("truncated");
    if (facts.is_retired) notes.emplace_back("being removed");
    if (!facts.is_of_this_boot) notes.emplace_back("from before this system was started");
    if (with.has_unknown) notes.emplace_back("of another pid namespace");
    if (with.is_creator_dead && is_orphan) notes.push_back(fmt::format("creator {} died", facts.creator_pid));
    if (facts.is_persistent) notes.emplace_back("persistent");
    return notes;
}

void look_inside(segment_summary& summary) {
    const cairn::inspection look(summary.where);
    const cairn::segment_facts facts = look.facts();
    summary.facts = facts;
    const company with = company_in(look);
    summary.live_count = with.live_count;
    summary.dead_count = with.dead_count;
    summary.state = state_of(summary.where, facts, with);

    std::uint64_t recoveries = facts.recovery_count.value_or(0);
    std::uint64_t poisoned = 0;
    for (const cairn::object_facts& each : look.objects(false)) {
        recoveries += each.recovery_count;
        poisoned += each.state == "poisoned" ? 1 : 0;
    }
    if (facts.recovery_count) summary.recovery_count = recoveries;

    std::vector<std::string> notes = notes_on(facts, with, summary.is_collectable());
    if (poisoned != 0) notes.push_back(counted(poisoned, "poisoned object"));
    if (facts.lock_owner_died) notes.emplace_back("holder of its lock died");
    if (recoveries != 0) notes.push_back(counted(recoveries, "recovery", "recoveries"));
    for (const std::string& each : notes) summary.note += (summary.note.empty() ? "" : ", ") + each;
}

}  // namespace

segment_summary summarize(const cairn::segment_location& where) {
    segment_summary summary;
    summary.where = where;
    try {
        look_inside(summary);
        return summary;
    } catch (const cairn::permission_denied& e) {
        summary.state = "denied";
        summary.note = e.code().message();
    } catch (const cairn::version_mismatch& e) {
        summary.state = "foreign";
        summary.note = reason_of(e);
    } catch (const cairn::no_such_segment&) {
        summary.state = "gone";
    } catch (const cairn::error& e) {
        summary.state = where.file_bytes == 0 ? "empty" : "damaged";
        summary.note = reason_of(e);
    }
    return summary;
}

std::string user_name(uid_t user) {
    std::array<char, 4096> buffer{};
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
        return found->pw_name;
    return std::to_string(user);
}

std::int64_t age_seconds(std::int64_t nanoseconds_since_1970) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const std::int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count() -
                                 nanoseconds_since_1970 / 1'000'000'000;
    return std::max<std::int64_t>(seconds, 0);
}

std::string counted(std::uint64_t count, const std::string& one, const std::string& many) {
    return fmt::format("{} {}", count, count == 1 ? one : many.empty() ? one + "s" : many);
}

std::string lock_words(const cairn::object_facts& object) {
    switch (object.lock) {
        case cairn::lock_state::free: return "free";
        case cairn::lock_state::held:
            return fmt::format("held by {}", object.lock_pid != 0
                                                 ? static_cast<std::uint32_t>(object.lock_pid)
                                                 : object.lock_thread);
        case cairn::lock_state::owner_died: break;
    }
    // Given back by one who had no time for the rest.
    if (object.lock_thread == 0) return "left unfinished, finished by the next locker";
    return fmt::format("DEAD owner {}, recovered by the next locker", object.lock_thread);
}

std::string full_type(const cairn::object_facts& object) {
    if (!object.type) return object.kind + "<?>";
    return object.type->empty() ? object.kind : object.kind + "<" + *object.type + ">";
}

}  // namespace shmctl
