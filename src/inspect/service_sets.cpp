// service_sets.cpp - what the services of a manager are, also when all of its processes are dead.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>

#include "inspect/roots.hpp"
#include "inspect/state.hpp"
#include "os/identity.hpp"
#include "service/service_set.hpp"
#include "service/service_table.hpp"
#include <cairn/error.hpp>
#include <cairn/inspect.hpp>

namespace cairn::inline CAIRN_ABI {

using namespace detail;
using namespace detail::inspecting;

namespace {

// Every word is input.
class set_reader {
public:
    set_reader(const source& from, const segment& s, const service_set_node& node)
        : from_(from), s_(s), node_(node), now_(service_clock()) {}

    void fill(service_set_facts& facts) {
        facts.program = std::string(program_of_manager(node_));
        facts.manager = os::pid_of(node_.manager);
        facts.supervisor = os::pid_of(node_.supervisor);
        if (node_.manager != 0) facts.manager_alive = presence_of(node_.manager);
        if (node_.supervisor != 0) facts.supervisor_alive = presence_of(node_.supervisor);
        // What a killed manager has left ends with who looks after its workers.
        const bool is_left = node_.manager != 0 && facts.manager_alive == presence::dead;
        const bool is_over = node_.manager == 0 ||
                             (is_left && (node_.supervisor == 0 || facts.supervisor_alive == presence::dead));
        facts.state = is_over ? "over" : is_left || node_.stop != set_stop::none ? "stopping" : "running";
        facts.looked_seconds = since(node_.looked_at);
        facts.generation = node_.generation;
        facts.waiting_orders = node_.orders - std::min(node_.orders, node_.obeyed);
        for (std::uint32_t i = 0; i < node_.service_count; ++i)
            facts.services.push_back(service(service_at(s_, node_, i)));
    }

    /// The same, as far as the services and their workers make sense.
    void fill_as_far(service_set_facts& facts) {
        try {
            fill(facts);
        } catch (const corrupt_segment&) {
            facts.notes.emplace_back("damaged: its services make no sense; what is left of them");
        }
    }

private:
    [[nodiscard]] presence presence_of(os::process_identity identity) const {
        if (from_.where.is_image || !from_.is_of_this_boot) return presence::dead;
        if (!from_.sees_processes()) return presence::unknown;
        return os::is_alive(identity) ? presence::alive : presence::dead;
    }

    [[nodiscard]] std::optional<double> since(std::uint64_t then) const {
        if (then == 0 || then > now_ || !from_.has_living_processes()) return std::nullopt;
        return static_cast<double>(now_ - then) / 1e9;
    }

    [[nodiscard]] std::optional<service_process_facts> process_in(const service_process_entry& of) const {
        if (of.stage == static_cast<std::uint64_t>(service_stage::none)) return std::nullopt;
        service_process_facts facts;
        facts.pid = os::pid_of(of.identity);
        // Not there yet: it was forked, and that is not written down.
        if (of.identity != 0) facts.alive = presence_of(of.identity);
        switch (static_cast<service_stage>(of.stage)) {
            case service_stage::starting: facts.state = "starting"; break;
            case service_stage::ready: facts.state = "ready"; break;
            case service_stage::stopping: facts.state = "stopping"; break;
            default: facts.state = "killed"; break;
        }
        facts.generation = of.generation;
        facts.seconds = since(of.started);
        facts.beat_seconds = since(of.last_beat);
        return facts;
    }

    [[nodiscard]] service_facts service(const service_entry& of) {
        service_facts facts;
        facts.name = std::string(name_of_service(of));
        switch (static_cast<restart>(of.restart)) {
            case restart::permanent: facts.restart = "permanent"; break;
            case restart::transient: facts.restart = "transient"; break;
            default: facts.restart = "temporary"; break;
        }
        facts.wanted_worker_count = of.target;
        facts.restarts = of.restarts;
        facts.is_given_up = of.has_given_up != 0;
        for (std::uint32_t i = 0; i < of.place_capacity && left_ != 0; ++i, --left_) {
            const service_place_entry& place = place_at(s_, of, i);
            service_worker_facts worker;
            worker.id = static_cast<int>(i);
            worker.process = process_in(place.current);
            worker.successor = process_in(place.next);
            worker.restarts = place.restarts;
            worker.failures = place.failures;
            if (!worker.process && !worker.successor && i >= of.target) continue;
            if (!worker.process && place.not_before > now_ && from_.has_living_processes())
                worker.wait_seconds = static_cast<double>(place.not_before - now_) / 1e9;
            facts.workers.push_back(std::move(worker));
        }
        return facts;
    }

    const source& from_;
    const segment& s_;
    const service_set_node& node_;
    std::uint64_t now_;
    // There is no room for more, unless they are damaged.
    std::uint64_t left_ = s_.committed_bytes() / sizeof(service_place_entry);
};

}  // namespace

std::vector<service_set_facts> inspection::service_sets() const {
    const source& from = state_->from;
    image in(from);
    bool is_whole = false;
    std::vector<service_set_facts> all;
    for (const std::uint32_t link : all_slots(in, is_whole)) {
        root_slot slot{};
        if (!read_slot(from, link, slot) || !is_visible(slot) || slot.part_of != 0 ||
            slot.kind != static_cast<std::uint32_t>(object_kind::service_set))
            continue;
        service_set_facts facts;
        std::vector<std::string> notes;
        const bool is_there = read_root(from, link, slot.generation, notes, [&](image& at, root_slot& seen) {
            facts = {};
            facts.name = name_of(seen);
            const segment_ptr s = at.load_root(seen) ? at.view() : segment_ptr();
            const auto* const node = s ? s->find<service_set_node>(seen.node) : nullptr;
            if (node == nullptr || !check_service_set_node(*s, *node).empty())
                facts.notes.emplace_back("damaged: its node makes no sense");
            else set_reader(from, *s, *node).fill_as_far(facts);
        });
        if (!is_there) continue;  // removed meanwhile
        facts.notes.insert(facts.notes.end(), notes.begin(), notes.end());
        all.push_back(std::move(facts));
    }
    std::sort(all.begin(), all.end(),
              [](const service_set_facts& a, const service_set_facts& b) { return a.name < b.name; });
    return all;
}

}  // namespace cairn::inline CAIRN_ABI
