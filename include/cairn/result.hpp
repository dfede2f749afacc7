// result.hpp - a large result of a task, made where the program reads it.
//
//   cairn::result<double> spectrum(long samples) {
//       cairn::result<double> r(samples);      // in the pool's memory
//       fill(r);
//       return r;                              // no copy
//   }
//   cairn::result<double> r = ex.submit(spectrum, 1'000'000).result();   // no copy
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include <cairn/codec.hpp>
#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI {

namespace detail {

/// Bytes, and what keeps them.
struct result_memory {
    std::byte* data = nullptr;
    std::size_t bytes = 0;
    std::shared_ptr<void> hold = {};
};

/// In a task of a worker process: where its result will be, the first time; else memory of this process.
CAIRN_API result_memory new_result_memory(std::size_t bytes, std::size_t alignment);
struct result_delivery;
/// What a task has returned: where it is, while its submitter takes it over; a copy where `now` is null.
CAIRN_API result_memory received_result_memory(std::span<const std::byte> bytes, std::size_t alignment,
                                               result_delivery* now);

}  // namespace detail

/// So many elements, as the result of a task of a pool or process_pool_executor. Copies refer to the same elements, which go with the
/// last of them, also after the pool. Its worker's task has them in the pool's memory, and until its end only; a second one in the same
/// task, and one that is made elsewhere, has memory of its own, and is copied when it is returned.
///
/// Safety  as std::shared_ptr to an array
template <detail::plain T>
class result {
public:
    using value_type = T;

    result() noexcept = default;
    /// Elements of value 0. @throws segment_full, std::bad_alloc, std::length_error
    explicit result(std::size_t size) : size_(size) {
        if (size > static_cast<std::size_t>(-1) / 2 / sizeof(T))
            throw std::length_error("result: " + std::to_string(size) + " elements are too many");
        memory_ = detail::new_result_memory(size * sizeof(T), alignof(T));
        std::uninitialized_value_construct_n(data(), size);
    }
    /// For the library.
    explicit result(detail::result_memory memory) noexcept
        : memory_(std::move(memory)), size_(memory_.bytes / sizeof(T)) {}

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] T* data() const noexcept { return reinterpret_cast<T*>(memory_.data); }
    [[nodiscard]] T* begin() const noexcept { return data(); }
    [[nodiscard]] T* end() const noexcept { return data() + size_; }
    /// Unchecked.
    [[nodiscard]] T& operator[](std::size_t index) const noexcept { return data()[index]; }
    /// @throws std::out_of_range
    [[nodiscard]] T& at(std::size_t index) const {
        if (index >= size_)
            throw std::out_of_range("result: index " + std::to_string(index) + ", size " +
                                    std::to_string(size_));
        return data()[index];
    }
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
        return {memory_.data, size_ * sizeof(T)};
    }

private:
    detail::result_memory memory_;
    std::size_t size_ = 0;
};

namespace detail {

template <typename T>
struct is_result : std::false_type {};
template <typename T>
struct is_result<result<T>> : std::true_type {};

}  // namespace detail

}  // namespace cairn::inline CAIRN_ABI
