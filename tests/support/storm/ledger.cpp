// SPDX-License-Identifier: BSL-1.0
#include "support/storm/ledger.hpp"

#include <algorithm>
#include <unordered_map>

namespace cairn_test {

namespace {

std::string name_of(token t) {
    return "token " + std::to_string(t & 0xffffffff) + " of actor " + std::to_string(actor_of(t));
}

// Empty, or which of them comes after one that was added later, by the same actor.
std::string disorder(std::span<const token> tokens) {
    std::unordered_map<std::uint32_t, token> last;
    for (const token t : tokens) {
        token& before = last[actor_of(t)];
        if (t < before) return name_of(t) + " comes behind " + name_of(before);
        before = t;
    }
    return {};
}

}  // namespace

ledger::ledger(const journal_book& book) {
    book.for_each([&](std::uint32_t actor, const note& n) {
        const auto state = static_cast<note_state>(n.state);
        if (state == note_state::refused) {
            ++refusals_;
            return;
        }
        const bool done = state == note_state::done;
        if (done) ++operations_;
        else ++in_flight_;
        account& a = accounts_[n.object];
        switch (static_cast<deed>(n.what)) {
            case deed::add: a.additions.push_back({n.first, n.count, done}); break;
            case deed::acknowledge: ++(done ? a.finished : a.perhaps_finished); [[fallthrough]];
            case deed::take:
                if (!done) {
                    a.perhaps_gone += n.count;
                } else if (n.count != 0) {
                    a.taken.push_back(n.result);
                    a.takers.push_back(actor);
                }
                break;
            case deed::replace:
                a.additions.push_back({n.first, 1, done});
                if (done) {
                    a.taken.push_back(n.result);
                    a.takers.push_back(actor);
                } else {
                    ++a.perhaps_gone;
                }
                break;
            case deed::discard: (done ? a.discarded : a.perhaps_gone) += n.count; break;
            case deed::finish: ++(done ? a.finished : a.perhaps_finished); break;
            case deed::other: break;
        }
    });
    for (auto& [object, a] : accounts_) std::sort(a.additions.begin(), a.additions.end());
}

ledger::finished_count ledger::finished(unsigned object) const {
    const auto found = accounts_.find(object);
    if (found == accounts_.end()) return {0, 0};
    return {found->second.finished, found->second.finished + found->second.perhaps_finished};
}

std::string ledger::problem(unsigned object, std::span<const token> present, token_order order) const {
    static const account nothing;
    const auto found = accounts_.find(object);
    const account& a = found == accounts_.end() ? nothing : found->second;

    std::vector<token> known(present.begin(), present.end());
    known.insert(known.end(), a.taken.begin(), a.taken.end());
    std::sort(known.begin(), known.end());
    if (const auto twice = std::adjacent_find(known.begin(), known.end()); twice != known.end())
        return name_of(*twice) + " is there twice, or was there after it was taken";

    // Both are sorted: each known token lies in an addition, and what lies in none was added by nobody.
    std::uint64_t lost = 0;          // acknowledged, and neither there nor taken
    std::uint64_t perhaps_lost = 0;  // added by an operation in flight, if at all
    token one_lost = 0;
    auto next = known.begin();
    for (const addition& added : a.additions) {
        if (next != known.end() && *next < added.first) return name_of(*next) + " was added by nobody";
        const auto begin = next;
        while (next != known.end() && *next < added.first + added.count) ++next;
        const auto missing = added.count - static_cast<std::uint64_t>(next - begin);
        // Several are added as one: who sees one of them knows that it has happened.
        const bool happened = added.acknowledged || next != begin;
        (happened ? lost : perhaps_lost) += missing;
        if (happened && missing != 0) one_lost = added.first;
    }
    if (next != known.end()) return name_of(*next) + " was added by nobody";

    if (lost > a.discarded + a.perhaps_gone) {
        return std::to_string(lost) + " tokens are lost, such as one from " + name_of(one_lost) + " on; " +
               std::to_string(a.discarded) + " were discarded, and " + std::to_string(a.perhaps_gone) +
               " may have been by operations in flight";
    }
    if (a.discarded > lost + perhaps_lost) {
        return std::to_string(a.discarded) + " tokens were discarded, and only " +
               std::to_string(lost + perhaps_lost) + " are gone";
    }

    if (order == token_order::none) return {};
    if (const std::string wrong = disorder(present); !wrong.empty()) return "in the object " + wrong;
    std::unordered_map<std::uint32_t, std::vector<token>> by_taker;
    for (std::size_t i = 0; i < a.taken.size(); ++i) by_taker[a.takers[i]].push_back(a.taken[i]);
    for (const auto& [taker, tokens] : by_taker) {
        if (const std::string wrong = disorder(tokens); !wrong.empty())
            return "for actor " + std::to_string(taker) + ", who took them, " + wrong;
    }
    // Without gaps: what an actor added, acknowledged, after the first one that is there is there.
    std::unordered_map<std::uint32_t, token> oldest;
    for (const token t : present) oldest.try_emplace(actor_of(t), t);
    std::vector<token> there(present.begin(), present.end());
    std::sort(there.begin(), there.end());
    for (const addition& added : a.additions) {
        const auto first = oldest.find(actor_of(added.first));
        if (!added.acknowledged || first == oldest.end()) continue;
        for (token t = std::max(added.first, first->second); t < added.first + added.count; ++t) {
            if (!std::binary_search(there.begin(), there.end(), t))
                return name_of(t) + " is gone from behind " + name_of(first->second);
        }
    }
    return {};
}

}  // namespace cairn_test
