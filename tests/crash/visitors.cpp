// visitors.cpp - the visitors of all types in the crash table, each compiled once: several files of rows are about one type.
// They are not optimised; the operations, which the rows call, are.
//
// SPDX-License-Identifier: BSL-1.0
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/channel_visitor.hpp"
#include "crash/composite_elements.hpp"
#include "crash/keyed_visitor.hpp"
#include "crash/list_visitor.hpp"
#include "crash/queue_visitor.hpp"

namespace cairn_test {

namespace {

using made = std::unique_ptr<visitor>;
using manager = cairn::manager;
template <typename Row>
using row = std::shared_ptr<const Row>;

}  // namespace

template made make_visitor(const manager&, row<list_row<char>>);
template made make_visitor(const manager&, row<list_row<short>>);
template made make_visitor(const manager&, row<list_row<long>>);
template made make_visitor(const manager&, row<list_row<triple>>);
template made make_visitor(const manager&, row<list_row<wide>>);
template made make_visitor(const manager&, row<list_row<std::string>>);
template made make_visitor(const manager&, row<list_row<brittle>>);
template made make_visitor(const manager&, row<list_row<maybe_text>>);

template made make_visitor(const manager&, row<keyed_row<cairn::dict<long, long>>>);
template made make_visitor(const manager&, row<keyed_row<cairn::dict<long, wide>>>);
template made make_visitor(const manager&, row<keyed_row<cairn::dict<long, std::string>>>);
template made make_visitor(const manager&, row<keyed_row<cairn::dict<long, brittle>>>);
template made make_visitor(const manager&, row<keyed_row<cairn::dict<std::string, long>>>);
template made make_visitor(const manager&, row<keyed_row<cairn::dict<std::string, std::string>>>);
template made make_visitor(const manager&, row<keyed_row<cairn::dict<std::string, texts>>>);
template made make_visitor(const manager&, row<keyed_row<cairn::sharded_dict<long, long>>>);
template made make_visitor(const manager&, row<keyed_row<cairn::sharded_dict<std::string, std::string>>>);
template made make_visitor(const manager&, row<keyed_row<cairn::set<long>>>);
template made make_visitor(const manager&, row<keyed_row<cairn::set<std::string>>>);
template made make_visitor(const manager&, row<keyed_row<cairn::set<numbered_text>>>);

template made make_visitor(const manager&, row<queue_row<cairn::queue<long>>>);
template made make_visitor(const manager&, row<queue_row<cairn::queue<std::string>>>);
template made make_visitor(const manager&, row<queue_row<cairn::queue<wide>>>);
template made make_visitor(const manager&, row<queue_row<cairn::queue<brittle>>>);
template made make_visitor(const manager&, row<queue_row<cairn::lifo_queue<long>>>);
template made make_visitor(const manager&, row<queue_row<cairn::lifo_queue<std::string>>>);
template made make_visitor(const manager&, row<queue_row<cairn::lifo_queue<brittle>>>);
template made make_visitor(const manager&, row<queue_row<cairn::priority_queue<long>>>);
template made make_visitor(const manager&, row<queue_row<cairn::priority_queue<std::string>>>);
template made make_visitor(const manager&, row<queue_row<cairn::priority_queue<brittle>>>);

template made make_visitor(const manager&, row<channel_row<long>>);
template made make_visitor(const manager&, row<channel_row<wide>>);
template made make_visitor(const manager&, row<channel_row<std::string>>);

}  // namespace cairn_test
