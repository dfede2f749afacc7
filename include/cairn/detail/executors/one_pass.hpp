// one_pass.hpp - what the results of a map are as ranges: read once, one after the other, by next().
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Base of `Results`, whose `std::optional<Item> next()` is empty at the end. An input range; not for several threads.
template <typename Results, typename Item>
class one_pass {
public:
    class iterator {
    public:
        using value_type = Item;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;
        iterator() noexcept = default;
        Item& operator*() const noexcept { return *from_->current_; }
        Item* operator->() const noexcept { return &*from_->current_; }
        iterator& operator++() {
            from_->advance();
            return *this;
        }
        void operator++(int) { from_->advance(); }
        friend bool operator==(const iterator& at, std::default_sentinel_t /*end*/) noexcept {
            return at.is_at_end();
        }

    private:
        friend class one_pass;
        [[nodiscard]] bool is_at_end() const noexcept { return from_ == nullptr || !from_->current_; }
        explicit iterator(one_pass* from) noexcept : from_(from) {}
        one_pass* from_ = nullptr;
    };

    /// As next().
    [[nodiscard]] iterator begin() {
        if (!current_) advance();
        return iterator(this);
    }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

private:
    friend Results;  // none else derives from it
    one_pass() = default;
    one_pass(one_pass&&) noexcept = default;
    one_pass& operator=(one_pass&&) noexcept = default;
    ~one_pass() = default;

    void advance() { current_ = static_cast<Results&>(*this).next(); }

    std::optional<Item> current_;
};

}  // namespace cairn::inline CAIRN_ABI::detail
