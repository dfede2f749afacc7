// structs.hpp - structs with CAIRN_FIELDS, of each of the two ways in which they are stored.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <cairn/fields.hpp>

namespace cairn_test {

/// Keeps its bytes.
struct plain_job {
    std::int32_t id = 0;
    double weight = 0;
    char tag[8] = {};
};
CAIRN_FIELDS(plain_job, id, weight, tag)

/// Keeps its bytes, which are not where a C compiler would put its fields alone: one of them is not named.
struct gappy {
    std::int64_t unnamed = 0;
    std::int8_t a = 0;
    alignas(16) std::int16_t b[3] = {};
    plain_job job;
    std::array<float, 2> floats = {};
};
CAIRN_FIELDS(gappy, job, a, b, floats)

/// Stored field by field.
struct tagged_job {
    std::int32_t id = 0;
    double weight = 0;
    std::vector<std::string> tags;
    std::optional<plain_job> plain;
    std::string names[2];
};
CAIRN_FIELDS(tagged_job, id, weight, tags, plain, names)

// Not written where it is used: GCC 12 ends with an internal error when a template makes a default one.
inline tagged_job untagged() {
    return {};
}
inline tagged_job tagged() {
    return {1, 2.5, {"a", "", std::string(300, 'b')}, plain_job{3, 4, "x"}, {"c", "d"}};
}

/// Would keep its bytes if it could be copied by them.
class careful {
public:
    careful() = default;
    careful(int x, double y) : x_(x), y_(y) {}
    careful(const careful& other) : x_(other.x_), y_(other.y_) {}
    careful& operator=(const careful&) = default;
    ~careful() = default;

    int x_ = 0;
    double y_ = 0;
};
CAIRN_FIELDS(careful, x_, y_)

}  // namespace cairn_test
