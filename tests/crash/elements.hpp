// elements.hpp - element types of the crash table: words, odd sizes, strings.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "crash/list_experiment.hpp"
#include "support/brittle.hpp"

namespace cairn_test {

/// No word, so that setting it is logged.
struct triple {
    long a, b, c;
    friend bool operator==(const triple&, const triple&) = default;
};
static_assert(sizeof(triple) == 24);

/// The largest element in place: one to a small chunk.
struct wide {
    std::array<long, 32> words;
    friend bool operator==(const wide&, const wide&) = default;
};
static_assert(sizeof(wide) == 256);

template <typename T>
struct elements {
    static std::vector<T> some(std::size_t count, std::size_t first = 0) {
        std::vector<T> all;
        for (std::size_t i = 0; i < count; ++i) all.push_back(element<T>::make(first + i));
        return all;
    }
};

template <typename T>
    requires std::is_integral_v<T>
struct element<T> : elements<T> {
    static T make(std::size_t i) { return static_cast<T>(i * 7 + 1); }
};

template <>
struct element<triple> : elements<triple> {
    static triple make(std::size_t i) {
        const auto n = static_cast<long>(i);
        return {n, -n, n * n};
    }
};

template <>
struct element<wide> : elements<wide> {
    static wide make(std::size_t i) {
        wide w{};
        for (std::size_t k = 0; k < w.words.size(); ++k) w.words[k] = static_cast<long>(i * 100 + k);
        return w;
    }
};

/// By turns in the slot, in a small block, in a larger one.
template <>
struct element<std::string> : elements<std::string> {
    static std::string short_one(std::size_t i) { return "s" + std::to_string(i); }
    static std::string long_one(std::size_t i, std::size_t bytes = 40) {
        std::string text = "long " + std::to_string(i) + " ";
        while (text.size() < bytes) text += static_cast<char>('a' + (text.size() + i) % 26);
        return text;
    }
    static std::string make(std::size_t i) {
        if (i % 3 == 0) return short_one(i);
        return long_one(i, i % 3 == 1 ? 40 : 200);
    }
};

template <>
struct element<brittle> : elements<brittle> {
    static brittle make(std::size_t i) { return {element<std::string>::make(i)}; }
};

}  // namespace cairn_test
