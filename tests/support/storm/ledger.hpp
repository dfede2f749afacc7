// ledger.hpp - what must be in an object after a storm, by what its actors have noted.
//
// Acknowledged is done: a token whose addition returned is in the object, or somebody has it, or a discard accounts for
// it. Operations in flight at a death may have happened whole, or not at all. Nothing is anywhere twice, and nothing is
// there that nobody added.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "support/storm/journal.hpp"

namespace cairn_test {

enum class token_order {
    none,
    /// Added at one end and taken at the other: of each actor's tokens, what is there is in the order of addition and
    /// without gaps, and each taker gets them in that order.
    first_in_first_out,
};

class ledger {
public:
    explicit ledger(const journal_book& book);

    /// `present`: the tokens in the object now, from front to back. Empty, or what does not hold.
    [[nodiscard]] std::string problem(unsigned object, std::span<const token> present,
                                      token_order order) const;

    /// How many tokens of the object have been dealt with, by what was noted: acknowledged, and perhaps at most.
    struct finished_count {
        std::uint64_t least;
        std::uint64_t most;
    };
    [[nodiscard]] finished_count finished(unsigned object) const;

    [[nodiscard]] std::uint64_t operations() const noexcept { return operations_; }  // that returned
    [[nodiscard]] std::uint64_t refusals() const noexcept { return refusals_; }
    [[nodiscard]] std::uint64_t in_flight() const noexcept { return in_flight_; }  // when their actor died

private:
    struct addition {
        token first;
        std::uint16_t count;
        bool acknowledged;
        friend bool operator<(const addition& a, const addition& b) { return a.first < b.first; }
    };
    struct account {
        std::vector<addition> additions;
        std::vector<token> taken;
        std::vector<std::uint32_t> takers;  // of `taken`, in the order in which each took
        std::uint64_t discarded = 0;        // acknowledged; which ones is not known
        std::uint64_t perhaps_gone = 0;     // at most, by what was in flight
        std::uint64_t finished = 0;         // acknowledged
        std::uint64_t perhaps_finished = 0;
    };
    std::map<unsigned, account> accounts_;
    std::uint64_t operations_ = 0;
    std::uint64_t refusals_ = 0;
    std::uint64_t in_flight_ = 0;
};

}  // namespace cairn_test
