// set_reporter.hpp - what the supervisor of services writes into their root, and what orders it finds there.
//
// Rule          the root is looked at and written where its lock can be had soon. Where it cannot (whoever gives an order was stopped
//               in it), or where the segment is full or damaged, workers are looked after as ever.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <vector>

#include "service/service_set.hpp"
#include "service/service_table.hpp"

namespace cairn::inline CAIRN_ABI::detail {

/// Orders as they stand: of all services, with those of before.
struct service_orders {
    struct of_one {
        std::uint64_t target;
        std::uint64_t target_orders;
        std::uint64_t reload_orders;
        std::uint64_t restart_orders;
    };
    std::uint64_t number = 0;
    set_stop stop = set_stop::none;
    std::vector<of_one> services;
};

class set_reporter {
public:
    explicit set_reporter(service_family& family) : family_(family), is_on_(family.set.in) {}

    /// Without the lock: whether there are others than before `number`.
    [[nodiscard]] bool has_orders_after(std::uint64_t number) const noexcept;
    /// False where they cannot be had now.
    bool read_orders(service_orders& to);
    /// What the table says. False where it cannot be said now: to be tried again.
    bool report(std::uint64_t now);

private:
    template <typename Step>
    bool try_step(const Step& step);
    [[nodiscard]] service_facts_to_store facts_now(const service_family::member& of,
                                                   const service_set_node& node,
                                                   const service_entry& service) const noexcept;
    bool report_service(service_family::member& of, const service_set_node& node);
    void log(const char* what, const char* why) noexcept;
    void give_up(const char* why) noexcept;

    service_family& family_;
    bool is_on_;
    bool has_said_full_ = false;
    std::uint64_t room_again_at_ = 0;  // not looked for before
    bool is_supervisor_known_ = false;
};

}  // namespace cairn::inline CAIRN_ABI::detail
