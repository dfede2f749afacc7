// manager_rows.cpp - objects come and go: the directory, control blocks, and memory that changes its owner.
// SPDX-License-Identifier: BSL-1.0
#include "crash/manager_rows.hpp"

#include <stdexcept>

#include "crash/list_rows.hpp"
#include "segment/directory.hpp"
#include "segment/extents.hpp"
#include "segment/name_table.hpp"
#include "segment/segment_guard.hpp"
#include "segment/trimming.hpp"
#include "support/opened.hpp"

namespace cairn_test {

namespace {

template <typename T>
struct manager_row {
    std::string member;  // of manager
    std::string state;
    typename list_row<T>::contents before;
    typename list_row<T>::contents after;
    std::function<void(const cairn::manager&, std::optional<cairn::list<T>>&)> operation;
    std::function<void(const cairn::manager&)> shape = {};
    cairn::segment_options options = small_segment();
    std::string subject = subject_name;
};

template <typename T>
void add(experiment_table& table, const std::string& type, manager_row<T> row) {
    list_row<T> r{.before = std::move(row.before),
                  .after = std::move(row.after),
                  .shape = std::move(row.shape),
                  .operation = std::move(row.operation),
                  .subject = std::move(row.subject)};
    add_list_row<T>(table, "manager " + row.member + "<" + type + ">, " + row.state,
                    {"manager::" + row.member}, std::move(r), row.options);
}

class all_contents_are_long {
public:
    all_contents_are_long() noexcept { cairn::detail::long_contents_bytes = 0; }
    all_contents_are_long(const all_contents_are_long&) = delete;
    all_contents_are_long& operator=(const all_contents_are_long&) = delete;
    ~all_contents_are_long() { cairn::detail::long_contents_bytes = before_; }

private:
    std::uint64_t before_ = cairn::detail::long_contents_bytes;
};

void make_bystander(const cairn::manager& m) {
    static_cast<void>(m.list<long>(bystander_name, {1, 2, 3}));
}

// As many objects as there are control blocks in an extent of them, so that the next one needs another extent.
void use_up_slots(const cairn::manager& m) {
    make_bystander(m);
    for (int i = 1; i < 8; ++i) static_cast<void>(m.list<long>("filler " + std::to_string(i)));
}

// So many names with hashes that are wanted. Hashes are the segment's affair, which has its own seed; it is asked by way of a list.
std::vector<std::string> names_by_hash(const cairn::manager& m, std::size_t count,
                                       const std::function<bool(std::uint64_t hash)>& is_wanted) {
    const opened_list<long> any(m.list<long>(bystander_name));
    std::vector<std::string> names;
    for (int i = 0; names.size() < count; ++i) {
        std::string candidate = "beside " + std::to_string(i);
        if (is_wanted(cairn::detail::hash_name(any.in(), candidate))) names.push_back(std::move(candidate));
    }
    return names;
}

// Names that share the bucket of `name`.
std::vector<std::string> names_beside(const cairn::manager& m, const char* name, std::size_t count) {
    const opened_list<long> any(m.list<long>(bystander_name));
    const std::uint64_t bucket = cairn::detail::hash_name(any.in(), name) % cairn::detail::name_bucket_count;
    return names_by_hash(
        m, count, [&](std::uint64_t hash) { return hash % cairn::detail::name_bucket_count == bucket; });
}

// Each object that is made has one bucket of names more made.
class names_are_many {
public:
    names_are_many() noexcept { cairn::detail::name_table_haste = cairn::detail::most_name_buckets; }
    names_are_many(const names_are_many&) = delete;
    names_are_many& operator=(const names_are_many&) = delete;
    ~names_are_many() { cairn::detail::name_table_haste = 0; }
};

// In the first two buckets, which are the first to be divided: names that stay, and names that move.
void make_names_to_divide(const cairn::manager& m) {
    make_bystander(m);
    for (const std::uint64_t bucket : {0U, 1024U, 0U, 1025U, 1U, 1024U}) {
        const auto in_it = [&](std::uint64_t hash) { return hash % 2048 == bucket; };
        std::size_t count = 1;
        std::vector<std::string> names = names_by_hash(m, count, in_it);
        while (m.contains(names.back())) names = names_by_hash(m, ++count, in_it);
        static_cast<void>(m.list<long>(names.back()));
    }
}

void add_creating(experiment_table& table) {
    using longs = std::vector<long>;
    using texts = std::vector<std::string>;
    auto make_list = [](const cairn::manager& m, std::optional<cairn::list<long>>& l) {
        l = m.list<long>(subject_name);
    };
    add<long>(table, "int64", {"list", "the first in a segment", std::nullopt, longs{}, make_list});
    add<long>(table, "int64", {"list", "beside another", std::nullopt, longs{}, make_list, make_bystander});
    add<long>(table, "int64",
              {"list", "needing control blocks", std::nullopt, longs{}, make_list, use_up_slots});
    add<long>(table, "int64",
              {"list", "in a control block used before", std::nullopt, longs{}, make_list,
               [](const cairn::manager& m) {
                   make_bystander(m);
                   m.list<long>("former").extend(element<long>::some(300));
                   m.remove("former");
               }});
    add<long>(
        table, "int64",
        {"list", "in a bucket with others", std::nullopt, longs{}, make_list, [](const cairn::manager& m) {
             make_bystander(m);
             for (const std::string& name : names_beside(m, subject_name, 2))
                 static_cast<void>(m.list<long>(name));
         }});
    auto make_one_of_many = [](const cairn::manager& m, std::optional<cairn::list<long>>& l) {
        const names_are_many here;
        l = m.list<long>(subject_name);
    };
    add<long>(
        table, "int64",
        {"list", "with a level of names", std::nullopt, longs{}, make_one_of_many, make_names_to_divide});
    add<long>(table, "int64",
              {"list", "with a bucket of names", std::nullopt, longs{}, make_one_of_many,
               [](const cairn::manager& m) {
                   make_names_to_divide(m);
                   const names_are_many here;
                   static_cast<void>(m.list<long>("another"));
               }});
    add<long>(table, "int64", {"list", "that is there", longs{4, 5}, longs{4, 5}, make_list, make_bystander});
    add<long>(table, "int64",
              {"list", "under a generated name", std::nullopt, longs{},
               [](const cairn::manager& m, std::optional<cairn::list<long>>& l) { l = m.list<long>(); },
               make_bystander, small_segment(), "list#1"});

    const longs few = element<long>::some(20);
    const longs many = element<long>::some(1500);
    auto fill_with = [](const auto& contents) {
        using value = typename std::decay_t<decltype(contents)>::value_type;
        return [contents](const cairn::manager& m, std::optional<cairn::list<value>>& l) {
            l = m.list<value>(subject_name, contents);
        };
    };
    add<long>(table, "int64", {"list", "with contents", std::nullopt, few, fill_with(few), make_bystander});
    add<long>(table, "int64",
              {"list", "with contents, needing growth", std::nullopt, many, fill_with(many),
               [](const cairn::manager& m) {
                   make_bystander(m);
                   m.list<long>("other").reserve(1500);
               }});
    const texts strings = element<std::string>::some(12);
    add<std::string>(table, "str",
                     {"list", "with contents", std::nullopt, strings, fill_with(strings), make_bystander});
    const texts large = {element<std::string>::long_one(1, 9000)};
    add<std::string>(
        table, "str",
        {"list", "with pages of its own", std::nullopt, large, fill_with(large), make_bystander});

    // Long ones, which are not built under the segment's lock. Here all count as long: each store is a row's image.
    auto fill_entrusted = [](const auto& contents) {
        using value = typename std::decay_t<decltype(contents)>::value_type;
        return [contents](const cairn::manager& m, std::optional<cairn::list<value>>& l) {
            const all_contents_are_long here;
            l = m.list<value>(subject_name, contents);
        };
    };
    add<long>(table, "int64",
              {"list", "with long contents", std::nullopt, few, fill_entrusted(few), make_bystander});
    add<long>(table, "int64",
              {"list", "with long contents, in a control block used before", std::nullopt, few,
               fill_entrusted(few), [](const cairn::manager& m) {
                   make_bystander(m);
                   m.list<long>("former").extend(element<long>::some(300));
                   m.remove("former");
               }});
    add<std::string>(
        table, "str",
        {"list", "with long contents, on pages", std::nullopt, large, fill_entrusted(large), make_bystander});

    const longs too_many = element<long>::some(20000);
    add<long>(table, "int64",
              {"list", "with contents, in a full segment", std::nullopt, std::nullopt,
               [too_many](const cairn::manager& m, std::optional<cairn::list<long>>&) {
                   try {
                       static_cast<void>(m.list<long>(subject_name, too_many));
                   } catch (const cairn::segment_full&) {
                       return;
                   }
                   throw lab_failure("the segment should have been full");
               },
               make_bystander, smallest_segment()});
}

void add_removing(experiment_table& table) {
    using longs = std::vector<long>;
    using texts = std::vector<std::string>;
    auto remove_it = [](const cairn::manager& m, const auto&) {
        if (!m.remove(subject_name)) throw lab_failure("there was nothing to remove");
    };
    auto row = [&](const char* state, longs before, std::function<void(const cairn::manager&)> shape) {
        add<long>(table, "int64",
                  {"remove", state, std::move(before), std::nullopt, remove_it, std::move(shape)});
    };
    row("empty", {}, make_bystander);
    row("the only one", element<long>::some(5), {});
    row("a few elements", element<long>::some(20), make_bystander);
    row("with pages", element<long>::some(1500), make_bystander);
    row("from the middle of a bucket", element<long>::some(5), [](const cairn::manager& m) {
        make_bystander(m);
        // The subject was there first; these are put before it in the chain.
        for (const std::string& name : names_beside(m, subject_name, 2))
            static_cast<void>(m.list<long>(name));
    });
    const texts strings = element<std::string>::some(30);
    add<std::string>(table, "str",
                     {"remove", "a few elements", strings, std::nullopt, remove_it, make_bystander});
    texts large;
    for (std::size_t i = 0; i < 4; ++i) large.push_back(element<std::string>::long_one(i, 9000));
    add<std::string>(table, "str",
                     {"remove", "with pages of its own", large, std::nullopt, remove_it, make_bystander});
    texts medium;
    for (std::size_t i = 0; i < 130; ++i) medium.push_back(element<std::string>::long_one(i, 1000));
    add<std::string>(
        table, "str",
        {"remove", "with spans", medium, std::nullopt, remove_it, make_bystander, roomy_segment()});
    add<long>(table, "int64",
              {"remove", "what is not there", std::nullopt, std::nullopt,
               [](const cairn::manager& m, const auto&) {
                   if (m.remove(subject_name)) throw lab_failure("nothing can be removed");
               },
               make_bystander});
}

void add_trimming(experiment_table& table) {
    using longs = std::vector<long>;
    const longs contents{1, 2, 3};
    const auto give_back = [](const cairn::manager& m) {
        cairn::detail::trims_everywhere = true;
        const std::uint64_t bytes = m.trim();
        cairn::detail::trims_everywhere = false;
        return bytes;
    };
    const auto trim = [give_back](const cairn::manager& m, const auto&) { give_back(m); };
    const auto make_room = [](const cairn::manager& m) {
        make_bystander(m);
        m.list<long>("former").extend(element<long>::some(20'000));
    };
    {
        // That the rows are about pages which go back: a victim that is stepped has a file of another kind.
        const cairn::manager m(roomy_segment());
        make_room(m);
        m.remove("former");
        if (give_back(m) < 20'000 * sizeof(long) / 2) throw lab_failure("hardly any page goes back");
    }
    add<long>(table, "int64",
              {"trim", "with pages free at its end", contents, contents, trim,
               [make_room](const cairn::manager& m) {
                   make_room(m);
                   m.remove("former");
               },
               roomy_segment()});
    add<long>(table, "int64",
              {"trim", "with pages free in the middle", contents, contents, trim,
               [make_room](const cairn::manager& m) {
                   make_room(m);
                   m.list<std::string>("behind", {std::string(70'000, 'x')});
                   m.remove("former");
               },
               roomy_segment()});
    longs grown = contents;
    const longs more = element<long>::some(5000);
    grown.insert(grown.end(), more.begin(), more.end());
    add<long>(table, "int64",
              {"trim", "and growth after it", contents, grown,
               [more, give_back](const cairn::manager& m, const auto& l) {
                   give_back(m);
                   l->extend(more);
               },
               [make_room](const cairn::manager& m) {
                   make_room(m);
                   m.remove("former");
               },
               roomy_segment()});
}

// As in /dev/shm: pages that readers were not shown leave the segment, from its end.
void add_dropping(experiment_table& table) {
    using longs = std::vector<long>;
    const longs contents{1, 2, 3};
    const auto grow_hidden = [](const cairn::manager& m) {
        make_bystander(m);
        const opened_list<long> any(m.list<long>(bystander_name));
        cairn::detail::segment_guard guard(any.in());
        cairn::detail::grow(guard, any.in().committed_pages() + 70);
    };
    const auto drop = [](const cairn::manager& m) {
        cairn::detail::drops_everywhere = true;
        m.trim();
        cairn::detail::drops_everywhere = false;
    };
    {
        const cairn::manager m(roomy_segment());
        grow_hidden(m);
        const std::uint64_t size = m.stats().size_bytes;
        drop(m);
        if (m.stats().size_bytes + 70 * cairn::detail::page_bytes > size)
            throw lab_failure("hardly any page leaves the segment");
    }
    add<long>(table, "int64",
              {"trim", "of what readers were not shown", contents, contents,
               [drop](const cairn::manager& m, const auto&) { drop(m); }, grow_hidden, roomy_segment()});
    longs grown = contents;
    const longs more = element<long>::some(3000);
    grown.insert(grown.end(), more.begin(), more.end());
    add<long>(table, "int64",
              {"trim", "of what readers were not shown, and growth after it", contents, grown,
               [drop, more](const cairn::manager& m, const auto& l) {
                   drop(m);
                   l->extend(more);
               },
               grow_hidden, roomy_segment()});
    add<long>(table, "int64",
              {"trim", "by a transaction that is undone", contents, contents,
               [more](const cairn::manager&, const auto& l) {
                   cairn::detail::drops_everywhere = true;
                   try {
                       l->transaction([&](auto& tx) {
                           tx.extend(more);
                           throw std::domain_error("undone");
                       });
                   } catch (const std::domain_error&) {}
                   cairn::detail::drops_everywhere = false;
               },
               make_bystander, roomy_segment()});
}

}  // namespace

void add_manager_rows(experiment_table& table) {
    add_creating(table);
    add_removing(table);
    add_trimming(table);
    add_dropping(table);
}

}  // namespace cairn_test
