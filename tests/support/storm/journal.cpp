// SPDX-License-Identifier: BSL-1.0
#include "support/storm/journal.hpp"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <utility>

#include <sys/mman.h>

namespace cairn_test {

namespace {

// splitmix64
constexpr std::uint64_t step = 0x9e3779b97f4a7c15;
constexpr std::uint64_t mixed(std::uint64_t z) noexcept {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

}  // namespace

journal_book::journal_book(std::size_t bytes)
    : bytes_(bytes / page_bytes * page_bytes), page_count_(bytes / page_bytes - 1) {
    void* at =
        ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) throw std::runtime_error("no memory for the journal of a storm");
    head_ = new (at) front{};
}

journal_book::~journal_book() {
    ::munmap(head_, bytes_);
}

void journal_book::clear() noexcept {
    // The pages go back to the system, and are zero when they are touched again.
    ::madvise(head_, bytes_, MADV_REMOVE);
    new (head_) front{};
}

journal_book::page& journal_book::page_at(std::uint64_t number) const noexcept {
    return *reinterpret_cast<page*>(reinterpret_cast<std::byte*>(head_) + (number + 1) * page_bytes);
}

std::span<note> journal_book::new_page(std::uint32_t actor) const {
    const std::uint64_t number = head_->pages.fetch_add(1);
    if (number >= page_count_) throw book_is_full{};
    page& fresh = page_at(number);
    fresh.actor = actor;
    return fresh.notes;
}

void journal_book::for_each(const std::function<void(std::uint32_t, const note&)>& fn) const {
    const std::uint64_t used = std::min<std::uint64_t>(head_->pages.load(), page_count_);
    for (std::uint64_t number = 0; number < used; ++number) {
        const page& p = page_at(number);
        for (const note& n : p.notes) {
            if (n.state == static_cast<std::uint16_t>(note_state::blank)) break;
            fn(static_cast<std::uint32_t>(p.actor), n);
        }
    }
}

actor::actor(const journal_book& book, std::uint64_t seed, std::stop_token end)
    : book_(&book), end_(std::move(end)), number_(book.new_actor()), next_(token{number_} << 32 | 1),
      // Mixed, or one actor's numbers would be its neighbour's, one step later.
      state_(mixed(seed) ^ mixed(number_)) {}

std::uint64_t actor::random(std::uint64_t end) noexcept {
    state_ += step;
    return mixed(state_) % end;
}

void actor::got(note& n, std::span<const token> tokens) {
    // `n` stays under way until the others are written down: who dies meanwhile is believed to have taken more than these.
    for (const token t : tokens.subspan(std::min<std::size_t>(tokens.size(), 1))) {
        note& another = begin(n.object, deed::take, 0, 1);
        another.result = t;
        another.end(note_state::done);
    }
    n.count = tokens.empty() ? 0 : 1;
    if (!tokens.empty()) n.result = tokens.front();
}

note& actor::begin(unsigned object, deed what, token first, std::uint16_t count) {
    if (used_ == page_.size()) {
        page_ = book_->new_page(number_);
        used_ = 0;
    }
    note& n = page_[used_++];
    n.what = static_cast<std::uint16_t>(what);
    n.object = static_cast<std::uint16_t>(object);
    n.count = count;
    n.first = first;
    n.result = 0;
    n.end(note_state::begun);
    return n;
}

}  // namespace cairn_test
