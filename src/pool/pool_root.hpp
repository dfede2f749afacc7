// pool_root.hpp - how the root of a pool is made.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string_view>

#include "pool/pool_core.hpp"
#include <cairn/manager.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// What manager::create_root() does for the handles of containers.
struct pool_access {
    static root_reference make(const manager& m, std::string_view name, std::uint32_t workers) {
        const manager::request wanted{object_kind::pool, "pool", [](const segment& s, segment_offset node) {
                                          static_cast<void>(pool_at(s, node));
                                      }};
        return m.create_root(name, wanted,
                             {[&](root_transaction& tx) { return create_pool(tx, workers, workers); }});
    }
};

}  // namespace cairn::inline CAIRN_ABI::detail
