// journal.hpp - what the processes of a storm write down before and after each operation, and what is left of it when
// they are killed.
//
// Stored        a book of pages in memory that all processes of the storm share, and which no death takes back. Each
//               page belongs to one actor (a thread of a process, for as long as it lives), who alone writes in it.
// A note        is `begun` before the operation, `done` once it has returned, `refused` when it threw and so did nothing.
//               One that stays `begun` was in flight when its actor died: it has happened, or not.
// Tokens        numbers that occur once in a storm: the actor's, and one that it counts up.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>

#include <cairn/error.hpp>

namespace cairn_test {

using token = std::uint64_t;

constexpr std::uint32_t actor_of(token t) noexcept {
    return static_cast<std::uint32_t>(t >> 32);
}

/// What an operation means for the tokens in its object.
enum class deed : std::uint16_t {
    add,  // `count` tokens from `first` on are in, as one
    take,  // `result` is out, and this actor has it; with count 0 it turned out that there was none; with a higher one
    // it was under way to several (actor::got)
    replace,      // `first` is in, in place of `result`
    discard,      // `count` tokens are out, and nobody knows which
    finish,       // one of those that are out has been dealt with
    acknowledge,  // `result` is out for good, and has been dealt with
    other,        // the same tokens as before
};

enum class note_state : std::uint16_t { blank, begun, done, refused };

struct note {
    std::uint16_t state;  // note_state; written last when it begins, and alone when it ends
    std::uint16_t what;   // deed
    std::uint16_t object;
    std::uint16_t count;
    token first;
    token result;

    void end(note_state how) noexcept {
        // release: whoever sees that it is over sees the result
        __atomic_store_n(&state, static_cast<std::uint16_t>(how), __ATOMIC_RELEASE);
    }
};
static_assert(sizeof(note) == 24);

/// There is no page left: the round is over.
struct book_is_full {};

class journal_book {
public:
    explicit journal_book(std::size_t bytes = std::size_t{48} << 20);
    journal_book(const journal_book&) = delete;
    journal_book& operator=(const journal_book&) = delete;
    ~journal_book();

    /// Empty again; nobody writes.
    void clear() noexcept;

    [[nodiscard]] std::uint32_t new_actor() const noexcept { return head_->actors.fetch_add(1) + 1; }
    /// A blank page for this actor. Throws book_is_full.
    [[nodiscard]] std::span<note> new_page(std::uint32_t actor) const;
    [[nodiscard]] std::uint32_t actor_count() const noexcept { return head_->actors.load(); }

    /// Calls fn(actor, note) for all that was noted; the notes of one actor in the order of its operations.
    void for_each(const std::function<void(std::uint32_t, const note&)>& fn) const;

private:
    static constexpr std::size_t page_bytes = 8192;
    static constexpr std::size_t notes_in_page = page_bytes / sizeof(note) - 1;

    struct page {
        std::uint64_t actor;
        note notes[notes_in_page];
    };
    static_assert(sizeof(page) <= page_bytes);
    struct front {
        std::atomic<std::uint32_t> actors;
        std::atomic<std::uint64_t> pages;
    };
    [[nodiscard]] page& page_at(std::uint64_t number) const noexcept;

    std::size_t bytes_;
    std::uint64_t page_count_;
    front* head_;
};

/// One thread that does things and writes them down.
class actor {
public:
    explicit actor(const journal_book& book, std::uint64_t seed, std::stop_token end = {});

    /// Notes, does, notes. `fn` gets the note, to add the result. When it throws what an operation may well say in a
    /// storm (an index that is gone meanwhile, no room), nothing has happened, and that is noted; all else is passed on.
    /// Throws book_is_full, before anything is done.
    template <typename Fn>
    void perform(unsigned object, deed what, token first, std::uint16_t count, Fn&& fn) {
        note& n = begin(object, what, first, count);
        try {
            fn(n);
        } catch (const cairn::index_error&) {
            return n.end(note_state::refused);
        } catch (const cairn::invalid_argument&) {  // not in the list any more
            return n.end(note_state::refused);
        } catch (const cairn::key_error&) {
            return n.end(note_state::refused);
        } catch (const cairn::object_gone&) {
            return n.end(note_state::refused);
        } catch (const cairn::type_mismatch&) {
            return n.end(note_state::refused);
        } catch (const cairn::queue_closed&) {
            return n.end(note_state::refused);
        } catch (const cairn::segment_full&) {
            return n.end(note_state::refused);
        }
        n.end(note_state::done);
    }

    /// Of the deed `n`, which took up to n.count tokens: these they were, in that order.
    void got(note& n, std::span<const token> tokens);

    /// `count` tokens in a row that nobody had.
    [[nodiscard]] token new_tokens(std::uint64_t count = 1) noexcept {
        const token first = next_;
        next_ += count;
        return first;
    }
    /// Below `end`.
    [[nodiscard]] std::uint64_t random(std::uint64_t end) noexcept;
    [[nodiscard]] std::uint32_t number() const noexcept { return number_; }
    /// Requested when the round is over, for operations that might wait for ever.
    [[nodiscard]] const std::stop_token& end_of_round() const noexcept { return end_; }

private:
    note& begin(unsigned object, deed what, token first, std::uint16_t count);

    const journal_book* book_;
    std::stop_token end_;
    std::uint32_t number_;
    token next_;
    std::uint64_t state_;
    std::span<note> page_;
    std::size_t used_ = 0;
};

}  // namespace cairn_test
