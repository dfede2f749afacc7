// owner.hpp - a pointer with one owner to what users' code never sees: std::unique_ptr, each of which takes GCC a hundred
// instantiations.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <utility>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// `Drop()(T*)`, which is not inline, ends what is owned.
template <typename T, typename Drop>
class owner {
public:
    owner() noexcept = default;
    explicit owner(T* owned) noexcept : owned_(owned) {}
    owner(owner&& other) noexcept : owned_(std::exchange(other.owned_, nullptr)) {}
    owner& operator=(owner&& other) noexcept {
        owner(std::move(other)).swap(*this);
        return *this;
    }
    ~owner() { reset(); }

    [[nodiscard]] T* get() const noexcept { return owned_; }
    T& operator*() const noexcept { return *owned_; }
    T* operator->() const noexcept { return owned_; }
    explicit operator bool() const noexcept { return owned_ != nullptr; }
    void reset() noexcept {
        if (T* const gone = std::exchange(owned_, nullptr)) Drop()(gone);
    }
    void swap(owner& other) noexcept { std::swap(owned_, other.owned_); }

private:
    T* owned_ = nullptr;
};

}  // namespace cairn::inline CAIRN_ABI::detail
