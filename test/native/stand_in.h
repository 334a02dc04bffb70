// A GPU's runtime on the CPU: does what it is told at once, and reports what is not in order. A vector clock for every stream and thread says what
// happens before what: work follows the work before it on its stream, what its thread had done when it gave it, and the events it was made to wait
// for.
#pragma once
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/device_calls.h"
#include "engine/device_runtime.h"
#include "ops/cpu/kernels.h"
#include "runtime/error.h"

namespace cornernet::testing {

/// What can be made wrong on purpose, to see that it is reported.
struct Mutation {
  int ignored_wait = -1;                  // the wait of this number, of a stream or of a thread, does nothing
  bool one_lock_each = false;             // threads don't keep each other out
  bool default_stream_downloads = false;  // as a copy outside of any stream guard
  bool pooled_streams = false;            // as LibTorch's pool, which wraps after 32
};

class StandIn final : public DeviceRuntime, public std::enable_shared_from_this<StandIn> {
 public:
  explicit StandIn(Mutation mutation = {}) : mutation_(mutation) {}
  ~StandIn() override {
    for (const auto& [address, block] : blocks_) std::free(reinterpret_cast<void*>(address));
  }

  // What tests ask and set.
  /// Everything that was not in order so far, and what nobody has freed once everybody is gone.
  std::vector<std::string> faults() {
    const std::lock_guard lock(mutex_);
    return faults_;
  }
  void check_that_all_is_freed() {
    const std::lock_guard lock(mutex_);
    for (const auto& [address, block] : blocks_) {
      if (!block.freed) report(std::string(block.pinned ? "pinned" : "device") + " memory was not freed");
    }
    if (!streams_.empty()) report("a stream was not freed");
    if (!events_.empty()) report("an event was not freed");
    if (!recordings_.empty()) report("a recording was not freed");
    if (!open_.empty()) report("a recording was left open");
  }
  int waits() const { return waits_; }
  int launches() const { return launches_; }
  int calls() const { return calls_; }
  /// From this call on (they are counted from 0) every one fails, as after a kernel that trapped.
  int fails_from = std::numeric_limits<int>::max();
  bool fails_in_libtorch = false;  // as its guards fail, in its own kind of error
  /// Called while a stream is recorded, and in every forward.
  std::function<void()> while_recording, in_forward;
  /// Whether something that others do on the streams goes on.
  std::function<bool()> is_busy = [] { return false; };
  /// The device's memory, and what a forward of an input takes at its peak; a recording keeps as much in its pool.
  int64_t capacity = 16'000'000'000;
  std::function<int64_t(const at::Tensor&)> peak_of = [](const at::Tensor&) { return 0; };
  int recorded() const { return recorded_; }
  int measured() const { return measured_; }

  at::Device device() const override { return at::kCPU; }
  SharedDevice& shared() override {
    if (!mutation_.one_lock_each) return shared_;
    const std::lock_guard lock(mutex_);
    return each_[std::this_thread::get_id()];
  }

  Handle make_stream() override {
    const Call call(*this, "a stream is made");
    if (mutation_.pooled_streams && streams_made_ >= kPooled) {
      const int again = streams_made_++ % kPooled;
      if (streams_.contains(again)) report("a stream has two owners: the pool has wrapped");
      return handle(again);
    }
    streams_.insert(streams_made_);
    clock_of(streams_made_);
    return handle(streams_made_++);
  }
  void free_stream(Handle stream) noexcept override {
    const std::lock_guard lock(mutex_);
    join(thread_clock(), clocks_[number(stream)]);
    streams_.erase(number(stream));
  }
  std::optional<c10::Stream> torch_stream(Handle) const override { return std::nullopt; }
  Handle current_stream() const override { return handle(kDefaultStream); }

  Handle make_event() override {
    const Call call(*this, "an event is made");
    return &*events_.emplace(events_.end());
  }
  void free_event(Handle event) noexcept override {
    const std::lock_guard lock(mutex_);
    in_recordings_.erase(event);
    events_.remove_if([&](const Clock& one) { return &one == event; });
  }
  void record(Handle event, Handle stream) override {
    const Call call(*this, "an event is recorded");
    if (is_recorded(stream))
      in_recordings_.insert(event);
    else
      in_recordings_.erase(event);
    *static_cast<Clock*>(event) = clocks_[number(stream)];
  }
  void wait(Handle stream, Handle event) override {
    const Call call(*this, "a stream waits");
    if (in_recordings_.contains(event)) {
      if (open_.empty()) report("a stream waits for an event of a recording that is over");
      joined_.insert(number(stream));
    }
    if (waits_++ == mutation_.ignored_wait) return;
    join(clocks_[number(stream)], *static_cast<Clock*>(event));
  }
  void synchronize(Handle event) override {
    const Call call(*this, "a thread waits");
    if (in_recordings_.contains(event)) report("a thread waits for an event of a recording");
    if (waits_++ == mutation_.ignored_wait) return;
    join(thread_clock(), *static_cast<Clock*>(event));
  }
  bool is_past(Handle event) override {
    if (is_busy()) return false;
    synchronize(event);
    return true;
  }

  void* allocate_pinned(size_t bytes) override {
    const Call call(*this, "pinned memory is allocated");
    report_if_recorded("pinned memory is allocated");
    return new_block(bytes, /*pinned=*/true, thread());
  }
  void free_pinned(void* memory) noexcept override {
    const std::lock_guard lock(mutex_);
    report_if_recorded("pinned memory is freed");
    let_go(memory, thread());
  }
  void* allocate(size_t bytes, Handle stream) override {
    const Call call(*this, "memory is allocated");
    report_if_recorded("memory is allocated");
    void* const memory = new_block(bytes, /*pinned=*/false, number(stream));
    const int by = next_on(stream);  // work given to the stream before may still use it
    touch(memory, bytes, by, true, "what the memory held before");
    return memory;
  }
  void free(void* memory) noexcept override {
    const std::lock_guard lock(mutex_);
    report_if_recorded("memory is freed");
    let_go(memory, blocks_.at(reinterpret_cast<uintptr_t>(memory)).owner);
  }
  void upload(void* to, const void* from, size_t bytes, Handle stream) override { copy(to, from, bytes, stream, "an upload"); }
  void download(void* to, const void* from, size_t bytes, Handle stream) override {
    copy(to, from, bytes, mutation_.default_stream_downloads ? handle(kDefaultStream) : stream, "a download");
  }

  Tensors run(Handle stream, const Tensors& inputs, const std::function<Tensors()>& body) override {
    {
      const Call call(*this, "a forward");
      if (const auto open = open_.find(number(stream)); open != open_.end()) {
        if (open->second.by != std::this_thread::get_id()) report("another thread's forward lands in a recording");
      } else {
        report_if_recorded("a forward, which may search for algorithms");
      }
    }
    const int64_t bytes = peak_of(inputs[0]);
    peak_ = std::max(peak_, bytes);
    if (in_forward) in_forward();
    Tensors outputs = body();
    bool recorded = false;
    {
      const std::lock_guard lock(mutex_);
      for (const at::Tensor& output : outputs) keep(output);
      if (const auto open = open_.find(number(stream)); open != open_.end()) {
        recorded = true;
        for (const at::Tensor& output : outputs) output.fill_(std::numeric_limits<double>::quiet_NaN());  // it isn't done yet
        open->second.work.push_back({inputs, body, outputs});
        int64_t& kept = pool_bytes_[open->second.pool];
        kept = std::max(kept, bytes);
      } else {
        apply(stream, inputs, outputs, "a forward");
      }
    }
    if (recorded && while_recording) while_recording();
    return outputs;
  }
  void make_input(Handle stream, const PictureJob* pictures, const LevelTable* table, const InputView& view, const at::Tensor& input) override {
    const Call call(*this, "an input is made");
    report_if_recorded("an input is made");
    const int by = next_on(stream);
    const size_t count = static_cast<size_t>(view.views / view.views_a_picture);
    touch(table, sizeof(*table), by, false, "the input's table");
    touch(pictures, count * sizeof(*pictures), by, false, "the input's pictures");
    for (size_t i = 0; i < count; ++i) {
      touch(pictures[i].rgb, size_t{3} * pictures[i].source_width_px * pictures[i].source_height_px, by, false, "a picture");
    }
    touch(input, by, true, "the network's input");
    at::Tensor to = input;
    cpu::make_input({pictures, pictures + count}, *table, view, to);
  }
  int collecting_blocks(const cuda::DecodeJob& job) override { return cuda::collecting_blocks(job, 64); }
  void decode(Handle stream, const cuda::DecodeJob& job, cuda::Scalar, const Tensors& maps, uint64_t* scratch, Candidate* candidates,
              int* counts) override {
    const Call call(*this, "maps are decoded");
    report_if_recorded("maps are decoded");
    const int by = next_on(stream);
    const size_t views = static_cast<size_t>(job.views), each = static_cast<size_t>(job.max_candidates);
    for (const at::Tensor& map : maps) touch(map, by, false, "a map");
    touch(job.geometry, views * sizeof(ViewGeometry), by, false, "the views' geometry");
    touch(scratch, static_cast<size_t>(cuda::scratch_keys(job)) * sizeof(uint64_t), by, true, "decoding's scratch");
    touch(candidates, views * each * sizeof(Candidate), by, true, "the candidates");
    touch(counts, views * sizeof(int), by, true, "the counts");
    DecodeOptions options;
    options.corner_topk = job.topk;
    options.local_maximum_kernel = 2 * job.radius + 1;
    options.max_candidates = job.max_candidates;
    options.distance_threshold = job.distance_threshold;
    const DecodedViews decoded = decode_corners(maps_of(maps), {job.geometry, job.geometry + views}, options);
    for (size_t view = 0; view < views; ++view) {
      std::ranges::copy(decoded[view].candidates, candidates + view * each);
      counts[view] = decoded[view].finite ? static_cast<int>(decoded[view].candidates.size()) : -1;
    }
  }

  PoolId make_pool() override {
    const std::lock_guard lock(mutex_);
    return {0, ++pools_};
  }
  void begin_recording(Handle stream, PoolId pool) override {
    const Call call(*this, "a recording begins");
    report_if_recorded("another recording begins");
    if (ended_pools_.contains(pool.second)) report("a pool whose last recording went is used again");
    ++pool_users_[pool.second];
    open_.emplace(number(stream), Open{std::this_thread::get_id(), pool.second, {}});
  }
  Handle end_recording(Handle stream, PoolId pool) override {
    {
      const std::lock_guard lock(mutex_);
      if (calls_ + 1 > fails_from) leave(stream, pool);
    }
    const Call call(*this, "a recording ends");
    joined_.clear();
    Open& open = open_.at(number(stream));
    ++recorded_;
    Work& work = recordings_.emplace_back(std::move(open.work));
    open_.erase(number(stream));
    return &work;
  }
  void abandon_recording(Handle stream, PoolId pool) noexcept override {
    const std::lock_guard lock(mutex_);
    leave(stream, pool);
  }
  void launch(Handle recording, Handle stream) override {
    const Call call(*this, "a recording is launched");
    report_if_recorded("a recording is launched");
    ++launches_;
    for (const auto& [inputs, body, outputs] : *static_cast<Work*>(recording)) {
      const Tensors computed = body();
      for (size_t i = 0; i < outputs.size(); ++i) outputs[i].copy_(computed[i]);
      apply(stream, inputs, outputs, "a recorded forward");
    }
  }
  void free_recording(Handle recording, PoolId pool) noexcept override {
    const std::lock_guard lock(mutex_);
    recordings_.remove_if([&](const Work& one) { return &one == recording; });
    leave_pool(pool);
  }

  void tensor_used(Handle stream, const at::Tensor& tensor, bool written) override {
    const std::lock_guard lock(mutex_);
    touch(tensor, next_on(stream), written, "a map that two streams use");
  }

  Memory memory() override {
    const std::lock_guard lock(mutex_);
    int64_t kept = 0;
    for (const auto& [pool, bytes] : pool_bytes_) kept += bytes;
    return {capacity - kept, kept, 0, peak_};
  }
  void count_peak_anew() override {
    peak_ = 0;
    ++measured_;
  }
  void release_idle() noexcept override {
    const std::lock_guard lock(mutex_);
    report_if_recorded("idle memory is released, which waits for the device,");
  }

  void host_touches(const void* memory, size_t bytes, bool writes) override {
    const std::lock_guard lock(mutex_);
    touch(memory, bytes, advance(thread()), writes, writes ? "a thread's bytes" : "a thread's results");
  }
  void host_hands_over(const void* what) override {
    const std::lock_guard lock(mutex_);
    join(handed_[what], thread_clock());
    advance(thread());
  }
  void host_takes_over(const void* what) override {
    const std::lock_guard lock(mutex_);
    join(thread_clock(), handed_[what]);
  }

 private:
  using Clock = std::vector<uint64_t>;  // by streams and threads
  struct Access {
    int by = -1;
    uint64_t at = 0;
    std::string what;
  };
  struct Range {
    uintptr_t end;
    Access write;
    std::vector<Access> reads;
  };
  struct Block {
    size_t bytes;
    bool pinned, freed;
    int owner;
  };
  struct Recorded {
    Tensors inputs;
    std::function<Tensors()> body;
    Tensors outputs;
  };
  using Work = std::vector<Recorded>;
  struct Open {
    std::thread::id by;
    uint64_t pool;
    Work work;
  };
  static constexpr int kPooled = 32, kDefaultStream = 0, kThreads = 10'000;

  /// The span of a call that can fail.
  class Call {
   public:
    Call(StandIn& owner, const char* what) : lock_(owner.mutex_) {
      if (owner.calls_++ < owner.fails_from) return;
      const std::string sentence = std::string("CUDA error: the kernel trapped; seen when ") + what;
      TORCH_CHECK(!owner.fails_in_libtorch, sentence);
      throw Error(ErrorCode::Device, sentence);
    }

   private:
    std::lock_guard<std::mutex> lock_;
  };

  static Handle handle(int stream) { return reinterpret_cast<Handle>(static_cast<intptr_t>(stream) + 1); }
  static int number(Handle stream) { return static_cast<int>(reinterpret_cast<intptr_t>(stream)) - 1; }
  void report(const std::string& fault) { faults_.push_back(fault); }
  /// By whomever: what synchronises the device, or is recorded by mistake, ends a recording.
  void report_if_recorded(const std::string& what) {
    if (!open_.empty()) report(what + " while a stream is recorded");
  }

  static void join(Clock& clock, const Clock& other) {
    clock.resize(std::max(clock.size(), other.size()));
    for (size_t i = 0; i < other.size(); ++i) clock[i] = std::max(clock[i], other[i]);
  }
  Clock& clock_of(int who) { return clocks_[who]; }
  int thread() {
    const auto [found, is_new] = threads_.try_emplace(std::this_thread::get_id(), kThreads + static_cast<int>(threads_.size()));
    return found->second;
  }
  Clock& thread_clock() { return clocks_[thread()]; }
  /// A clock's places: streams and threads share one numbering.
  size_t place(int who) { return places_.try_emplace(who, places_.size()).first->second; }
  int advance(int who) {
    Clock& clock = clocks_[who];
    const size_t at = place(who);
    clock.resize(std::max(clock.size(), at + 1));
    ++clock[at];
    return who;
  }
  /// The next work on a stream, which follows what its thread has done.
  int next_on(Handle stream) {
    join(clocks_[number(stream)], thread_clock());
    return advance(number(stream));
  }
  uint64_t time_of(int who) { return clocks_[who][place(who)]; }
  bool follows(int who, const Access& earlier) {
    if (earlier.by < 0 || earlier.by == who) return true;
    const Clock& clock = clocks_[who];
    const size_t at = place(earlier.by);
    return at < clock.size() && clock[at] >= earlier.at;
  }

  std::map<uintptr_t, Range>::iterator split(uintptr_t at) {
    auto after = ranges_.lower_bound(at);
    if (after == ranges_.begin()) return after;
    const auto before = std::prev(after);
    if (before->second.end <= at || before->first == at) return after;
    Range rest = before->second;
    before->second.end = at;
    return ranges_.emplace(at, std::move(rest)).first;
  }
  void touch(const void* memory, size_t bytes, int by, bool writes, const std::string& what) {
    if (bytes == 0) return;
    const auto begin = reinterpret_cast<uintptr_t>(memory), end = begin + bytes;
    split(end);
    const Access access{by, time_of(by), what};
    uintptr_t at = begin;
    for (auto range = split(begin); at < end;) {
      if (range == ranges_.end() || range->first > at) {  // nobody has touched this yet
        const uintptr_t until = range == ranges_.end() ? end : std::min(end, range->first);
        range = ranges_.emplace(at, Range{until, {}, {}}).first;
      }
      Range& one = range->second;
      const auto check = [&](const Access& earlier, const char* did) {
        if (!follows(by, earlier)) report(what + (writes ? " is written" : " is read") + " in no order with who " + did + " " + earlier.what);
      };
      check(one.write, "wrote");
      if (writes) {
        for (const Access& read : one.reads) check(read, "reads");
        one.write = access;
        one.reads.clear();
      } else {
        one.reads.push_back(access);
      }
      at = one.end;
      ++range;
    }
  }
  void touch(const at::Tensor& tensor, int by, bool writes, const std::string& what) {
    keep(tensor);
    touch(tensor.const_data_ptr(), tensor.nbytes(), by, writes, what);
  }
  /// Its address is nobody else's as long as the stand-in lives.
  void keep(const at::Tensor& tensor) { kept_.push_back(tensor); }
  void apply(Handle stream, const Tensors& inputs, const Tensors& outputs, const char* what) {
    const int by = next_on(stream);
    for (const at::Tensor& input : inputs) touch(input, by, false, std::string(what) + "'s input");
    for (const at::Tensor& output : outputs) touch(output, by, true, std::string(what) + "'s maps");
  }
  void copy(void* to, const void* from, size_t bytes, Handle stream, const std::string& what) {
    const Call call(*this, "bytes are copied");
    report_if_recorded(what);
    const int by = next_on(stream);
    touch(from, bytes, by, false, what + "'s source");
    touch(to, bytes, by, true, what);
    std::memcpy(to, from, bytes);
  }

  void* new_block(size_t bytes, bool pinned, int owner) {
    void* const memory = std::malloc(bytes);
    std::memset(memory, 0xff, bytes);
    blocks_[reinterpret_cast<uintptr_t>(memory)] = {bytes, pinned, false, owner};
    return memory;
  }
  /// `owner` is whose work alone may still use it: its address is not used again, so that whoever does shows.
  void let_go(void* memory, int owner) {
    const auto begin = reinterpret_cast<uintptr_t>(memory);
    Block& block = blocks_.at(begin);
    if (block.freed) report("memory is freed twice");
    block.freed = true;
    if (calls_ > fails_from) return;  // the device does nothing any more
    const auto check = [&](const Access& access) {
      if (access.by != owner && !follows(thread(), access)) report("memory is freed in no order with " + access.what);
    };
    for (auto range = split(begin); range != ranges_.end() && range->first < begin + block.bytes; ++range) {
      check(range->second.write);
      for (const Access& read : range->second.reads) check(read);
    }
  }

  void leave_pool(PoolId pool) {
    if (--pool_users_[pool.second] > 0) return;
    ended_pools_.insert(pool.second);
    pool_bytes_.erase(pool.second);
  }
  void leave(Handle stream, PoolId pool) {
    joined_.clear();
    if (open_.erase(number(stream)) > 0) leave_pool(pool);
  }

  Mutation mutation_;
  std::mutex mutex_;
  SharedDevice shared_;
  std::map<std::thread::id, SharedDevice> each_;
  std::vector<std::string> faults_;
  std::map<int, Clock> clocks_;
  std::map<int, size_t> places_;
  std::map<std::thread::id, int> threads_;
  std::map<const void*, Clock> handed_;
  std::map<uintptr_t, Range> ranges_;
  std::map<uintptr_t, Block> blocks_;
  std::set<int> streams_;
  std::list<Clock> events_;
  std::map<int, Open> open_;
  std::set<int> joined_;                 // streams that wait for what is recorded, and so are recorded too
  std::set<const void*> in_recordings_;  // events
  bool is_recorded(Handle stream) const { return open_.contains(number(stream)) || joined_.contains(number(stream)); }
  std::list<Work> recordings_;
  std::map<uint64_t, int> pool_users_;
  std::map<uint64_t, int64_t> pool_bytes_;
  std::set<uint64_t> ended_pools_;
  std::vector<at::Tensor> kept_;
  uint64_t pools_ = 0;
  int64_t peak_ = 0;
  int streams_made_ = kDefaultStream + 1, waits_ = 0, launches_ = 0, calls_ = 0, recorded_ = 0, measured_ = 0;
};

}  // namespace cornernet::testing
