// SPDX-License-Identifier: BSL-1.0
#include "codec_case.hpp"

#include <cstdint>
#include <map>
#include <random>

#include <doctest/doctest.h>

#include "inspect/decode.hpp"
#include "support/memory_limit.hpp"
#include <cairn/detail/base/hash.hpp>

namespace cairn_test {

namespace {

using cairn::detail::inspecting::element_type;

constexpr int random_buffers = 1000;  // for each value, and as many with a few bytes of it changed

// In a block of just that size, so that AddressSanitizer sees a read beyond it.
using block = std::vector<std::byte>;

class hostile_bytes {
public:
    explicit hostile_bytes(const codec_case& of) : case_(of) {}

    void try_cut() {
        for (std::size_t length = 0; length < case_.bytes.size(); ++length)
            try_bytes(block(case_.bytes.begin(), case_.bytes.begin() + static_cast<std::ptrdiff_t>(length)));
        block longer = case_.bytes;
        longer.push_back(std::byte{0});
        try_bytes(longer);
    }
    void try_changed() {
        for (std::size_t i = 0; i < case_.bytes.size(); ++i) {
            for (const int other : {0, 1, 2, 0x7f, 0x80, 0xff}) {
                block changed = case_.bytes;
                changed[i] = static_cast<std::byte>(other);
                try_bytes(changed);
            }
        }
    }
    void try_random() {
        for (int i = 0; i < random_buffers; ++i) {
            block random(random_() % 48);
            for (std::byte& each : random) each = random_byte();
            try_bytes(random);
            block changed = case_.bytes;
            for (std::uint64_t n = random_() % 4; n > 0 && !changed.empty(); --n)
                changed[random_() % changed.size()] = random_byte();
            try_bytes(changed);
        }
    }
    [[nodiscard]] std::uint64_t refused() const { return refused_; }

private:
    // Small numbers more often than others: as lengths, these lead further.
    std::byte random_byte() {
        const std::uint64_t number = random_();
        return static_cast<std::byte>(number % 3 != 0 ? (number >> 8U) % 6 : number >> 8U);
    }

    void try_bytes(const block& bytes) {
        std::string inspected;
        inspector_.append_text(inspected, bytes);
        const auto value = case_.decode(bytes);
        if (!value) {
            ++refused_;
            return;
        }
        const auto again = case_.decode(value->bytes);
        const bool comes_back = again && again->text == value->text;
        // Where several encodings are one value (MessagePack), they are shown as they are.
        const bool looks_same = inspected == value->text || value->bytes != bytes || !inspector_.fits(bytes);
        if (comes_back && looks_same) return;
        CAPTURE(inspected);
        FAIL_CHECK("what came out of these bytes comes back or is shown otherwise: " << value->text);
    }

    const codec_case& case_;
    const element_type inspector_{case_.type};
    std::mt19937_64 random_{20'261'125};
    std::uint64_t refused_ = 0;
};

}  // namespace

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
    std::vector<std::byte> bytes;
    for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
    return bytes;
}

void check_codec(const codec_case& each) {
    CAPTURE(each.type);
    CAPTURE(each.text);
    const auto back = each.decode(block(each.bytes));
    REQUIRE(back.has_value());
    CHECK(back->text == each.text);
    if (!each.has_padding) CHECK(back->bytes == each.bytes);
    const element_type inspector(each.type);
    std::string inspected;
    inspector.append_text(inspected, each.bytes);
    CHECK(inspected == each.text);

    const memory_limit limit;
    hostile_bytes hostile(each);
    hostile.try_cut();
    hostile.try_changed();
    hostile.try_random();
    const bool is_any_bytes = each.type == "str" || each.type == "vector<bool>";
    if (!is_any_bytes) CHECK(hostile.refused() > 0);
}

void check_codecs(std::initializer_list<codec_case> cases) {
    std::map<std::uint64_t, std::type_index> types;  // by fingerprint
    for (const codec_case& each : cases) {
        check_codec(each);
        const auto fingerprint = cairn::detail::hash_bytes(each.type.data(), each.type.size(), 0);
        CAPTURE(each.type);
        CHECK((types.emplace(fingerprint, each.cpp_type).first->second == each.cpp_type));
    }
}

}  // namespace cairn_test
