#include "checkpoint/checkpoint.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>

#include "../fuzz/zip_writer.h"
#include "checkpoint/crc32.h"
#include "checkpoint/tensor_store.h"
#include "test.h"

using namespace cornernet;
using namespace cornernet::testing;

namespace {

const std::filesystem::path kFixtures = CORNERNET_FIXTURES;
const std::filesystem::path kCheckpoints = kFixtures / "checkpoints";

at::Tensor tensor_of(const Checkpoint& checkpoint, const std::string& name) {
  for (const auto& [key, tensor] : checkpoint.tensors) {
    if (key == name) return tensor;
  }
  check(false, "there is no tensor ", name);
  return {};
}

void check_values(const Checkpoint& checkpoint, const std::string& name, at::ScalarType type, const std::vector<int64_t>& shape,
                  const std::vector<double>& values) {
  const at::Tensor tensor = tensor_of(checkpoint, name);
  check(tensor.scalar_type() == type, name, " is ", c10::toString(tensor.scalar_type()));
  check(tensor.sizes() == at::IntArrayRef(shape), name, " has another shape");
  const at::Tensor flat = tensor.to(at::kDouble).contiguous().flatten();
  for (size_t i = 0; i < values.size(); ++i) {
    const double got = flat.const_data_ptr<double>()[i];
    check(got == values[i], name, "[", i, "] is ", got, ", not ", values[i]);
  }
}

void check_good(const std::string& file) {
  const Checkpoint checkpoint = load_checkpoint(kCheckpoints / file);
  check(checkpoint.tensors.size() == 11, "there are ", checkpoint.tensors.size(), " tensors");
  check_values(checkpoint, "fp32", at::kFloat, {2, 2}, {1.5, -2.25, std::numeric_limits<double>::infinity(), static_cast<double>(1e-30f)});
  check_values(checkpoint, "fp16", at::kHalf, {3}, {1.5, -0.125, 65504.0});
  // 1e30 as bf16 keeps it: the nearest number of 8 bits.
  check_values(checkpoint, "bf16", at::kBFloat16, {3}, {1.5, -3.0, static_cast<double>(static_cast<float>(c10::BFloat16(1e30f)))});
  check_values(checkpoint, "fp64", at::kDouble, {2}, {1.0 / 3.0, -1e200});
  check_values(checkpoint, "int64", at::kLong, {}, {1099511627776.0});
  check_values(checkpoint, "bool", at::kBool, {2}, {1, 0});
  check_values(checkpoint, "transposed", at::kFloat, {3, 2}, {0, 3, 1, 4, 2, 5});
  check_values(checkpoint, "shared_a", at::kFloat, {2, 3}, {2, 3, 4, 5, 6, 7});
  check_values(checkpoint, "shared_b", at::kFloat, {4}, {0, 3, 6, 9});
  check_values(checkpoint, "parameter", at::kFloat, {1}, {7});
  check_values(checkpoint, "empty", at::kFloat, {0, 3}, {});
  check(checkpoint.meta.classes == std::vector<std::string>{"ant", "bee"}, "the classes are others");
  check(contains(checkpoint.meta.config, "corner_topk=7"), "the configuration is missing");
  CheckpointFile opened(kCheckpoints / file);
  for (const auto& [name, tensor] : opened.take_tensors()) {
    if (name != "fp32" && name != "fp64" && name != "bf16") {
      opened.read(tensor);
      continue;
    }
    // An infinity, 1e200 and 1e30.
    const std::string sentence = refused(ErrorCode::Checkpoint, [&opened, tensor = tensor] { opened.read(tensor); });
    check(contains(sentence, name + " holds numbers that are not finite, or 2^48 and more") && contains(sentence, file), sentence);
  }
}

const Registration sparse("checkpoint: legacy: what lies behind the storages is not read, however long it is", [] {
  const auto path = std::filesystem::temp_directory_path() / ("cornernet-sparse-" + std::to_string(::getpid()) + ".pth");
  std::filesystem::copy_file(kCheckpoints / "good_legacy.pth", path, std::filesystem::copy_options::overwrite_existing);
  std::filesystem::resize_file(path, uintmax_t{1} << 40);  // takes no room on the disk; reading it would take all memory
  check(load_checkpoint(path).tensors.size() == load_checkpoint(kCheckpoints / "good_legacy.pth").tensors.size(), "tensors are missing");
  std::filesystem::remove(path);
});

const Registration good_zip("checkpoint: zip: every dtype, strides, shared storages, prefixes, parameters and metadata",
                            [] { check_good("good_zip.pth"); });
const Registration good_legacy("checkpoint: legacy: every dtype, strides, shared storages, prefixes, parameters and metadata",
                               [] { check_good("good_legacy.pth"); });

const Registration forms("checkpoint: a bare state dict, mmengine's metadata, and files that training wrote", [] {
  check(load_checkpoint(kCheckpoints / "bare_state_dict.pth").tensors.size() == 11, "the bare state dict is incomplete");
  const CheckpointMeta newer = load_checkpoint(kCheckpoints / "mmengine_meta.pth").meta;
  check(newer.classes == std::vector<std::string>{"cat", "dog"} && newer.config == "a = 1", "metadata is lost");
  const Checkpoint training = load_checkpoint(kFixtures / "mmengine_training.pth");
  check(training.meta.classes == std::vector<std::string>{"ant", "bee", "cat", "dog"}, "the classes of the training checkpoint are others");
  check(!training.tensors.empty(), "the training checkpoint has no tensors");
  check(!load_checkpoint(kFixtures / "hourglass52_tiny.pth").tensors.empty(), "the legacy file has no tensors");
});

struct Hostile {
  const char* file;
  const char* sentence;
};
constexpr Hostile kHostile[] = {
    {"bad_reduce.pth", "weight is no tensor but of posix.system"},
    {"bad_reduce_legacy.pth", "weight is no tensor but of posix.system"},
    {"bad_unknown_object.pth", "weight is no tensor but of __main__.Unknown"},
    {"bad_sparse.pth", "weight is no tensor but of torch._utils._rebuild_sparse_tensor"},
    {"bad_negative_size.pth", "sizes or strides are invalid"},
    {"bad_negative_numel.pth", "negative or overflows"},
    {"bad_negative_offset.pth", "operands of the wrong type"},
    {"bad_overflow.pth", "size overflows"},
    {"bad_overflow_numel.pth", "negative or overflows"},
    {"bad_beyond_storage.pth", "reaches element 5 of a storage of 4"},
    {"bad_beyond_storage_stride.pth", "reaches element 6 of a storage of 4"},
    {"bad_repeating_stride.pth", "size overflows"},
    {"bad_short_record.pth", "has 8 bytes, not the 16"},
    {"bad_missing_record.pth", "there is no storage 7"},
    {"bad_unknown_storage.pth", "unknown type (torch.QuantumStorage)"},
    {"bad_compressed.pth", "is compressed"},
    {"bad_big_endian.pth", "big-endian"},
    {"bad_storage_is_string.pth", "operands of the wrong type"},
    {"bad_append_to_int.pth", "appended to something that is no list"},
    {"bad_items_on_list.pth", "set on something that is no dictionary"},
    {"bad_call_of_string.pth", "no class or function is called"},
    {"bad_persistent_id.pth", "names no storage"},
    {"bad_underflow.pth", "a value is missing on the stack"},
    {"bad_no_mark.pth", "a mark is missing"},
    {"bad_memo.pth", "never remembered"},
    {"bad_opcode.pth", "opcode 255"},
    {"bad_protocol.pth", "protocol is newer"},
    {"bad_long_string.pth", "ends within a value"},
    {"bad_not_a_dict.pth", "holds no dictionary"},
    {"bad_no_tensors.pth", "holds no tensors"},
    {"bad_nested.pth", "holds no dictionary"},
    {"bad_memo_bomb.pth", "holds no dictionary"},
    {"bad_no_pickle.pth", "holds no data.pkl"},
    {"bad_empty.pth", "is empty"},
    {"bad_text.pth", "not a checkpoint"},
    {"bad_html.pth", "not a checkpoint"},
    {"bad_jpeg.pth", "not a checkpoint"},
    {"bad_safetensors.pth", "not a checkpoint"},
    {"bad_tar.pth", "not a checkpoint"},
};

const Registration hostile("checkpoint: every hostile file is refused with what and where", [] {
  for (const auto& [file, part] : kHostile) {
    const std::string sentence = refused(ErrorCode::Checkpoint, [file = file] { load_checkpoint(kCheckpoints / file); });
    check(contains(sentence, part) && contains(sentence, file), file, ": ", sentence);
  }
  check(!std::filesystem::exists("EXECUTED"), "something in a file was executed");
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kCheckpoints)) files += entry.path().filename().string().starts_with("bad_");
  check(files == std::size(kHostile), "there are ", files, " hostile files, of which ", std::size(kHostile), " are tested");
});

const Registration unreadable("checkpoint: what can't be read is another error", [] {
  check(contains(refused(ErrorCode::Input, [] { load_checkpoint(kCheckpoints / "missing.pth"); }), "missing.pth"), "the path isn't named");
  check(contains(refused(ErrorCode::Input, [] { load_checkpoint(kCheckpoints); }), "directory"), "a folder isn't called one");
  check(contains(refused(ErrorCode::Input, [] { load_checkpoint("/dev/zero"); }), "regular file"), "a device is read");
});

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A file that goes with the test.
class Scratch {
 public:
  Scratch() : path_(std::filesystem::temp_directory_path() / ("cornernet-fuzz-" + std::to_string(std::random_device()()) + ".pth")) {}
  ~Scratch() { std::filesystem::remove(path_); }
  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& write(const std::string& content) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc).write(content.data(), static_cast<std::streamsize>(content.size()));
    return path_;
  }

 private:
  std::filesystem::path path_;
};

/// Loads and reads every element. True when it loaded, false when it was refused; anything else fails the test.
bool load_or_refuse(const std::filesystem::path& path) {
  try {
    for (const auto& [name, tensor] : load_checkpoint(path).tensors) at::sum(tensor.to(at::kDouble));
    return true;
  } catch (const Error& error) {
    check(error.code() == ErrorCode::Checkpoint, "got ", code_name(error.code()), ": ", error.what());
    return false;
  }
}

std::string unicode(const std::string& text) { return std::string("X") + static_cast<char>(text.size()) + std::string(3, '\0') + text; }

/// A legacy file around the opcodes of its object.
std::string legacy(const std::string& object, const std::string& after) {
  using namespace std::string_literals;
  return "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."s + "\x80\x02M\xe9\x03."s + "\x80\x02}."s + "\x80\x02" + object + "." + after;
}

const Registration amplified("checkpoint: a small file that names one thing over and over takes no more memory than it holds", [] {
  const Scratch scratch;
  std::string pairs = "](]q\x01NaNa";  // one pair, then the same one again and again
  for (int i = 0; i < 20'000; ++i) pairs += "h\x01";
  pairs += "e\x85q\x02" + std::string("0ccollections\nOrderedDict\nq\x03") + "0";
  for (int i = 0; i < 2'000; ++i) pairs += "h\x03h\x02R0";
  // 20,000 pairs of pointers in 2,000 dictionaries would be 640 MB.
  const long dictionaries = peak_growth([&] {
    check(contains(refused(ErrorCode::Checkpoint, [&] { load_checkpoint(scratch.write(legacy(pairs + "}", "\x80\x02]."))); }), "holds no tensors"),
          "the dictionaries weren't read");
  });
  check(dictionaries < 100'000'000, "the dictionaries took ", dictionaries, " bytes");

  using namespace std::string_literals;
  const std::string numel = "J\x00\x00\x04\x00"s;  // 2^18 floats
  const std::string tensor = "ctorch._utils\n_rebuild_tensor_v2\n((" + unicode("storage") + "ctorch\nFloatStorage\n" + unicode("0") + unicode("cpu") +
                             numel + "tQK\x00"s + numel + "\x85K\x01\x85\x89NtRq\x01" + "0}";
  for (int padding = 0; padding < 4; ++padding) {  // at least three of them leave the storage unaligned
    const auto file_of = [&](int count) {
      std::string tensors = tensor;
      for (int i = 0; i < count; ++i) tensors += unicode(std::to_string(i) + "t") + "h\x01s";
      return legacy(unicode(std::string(static_cast<size_t>(padding), ' ')) + "0" + tensors, "\x80\x02](" + unicode("0") + "e.") +
             "\x00\x00\x04\x00\x00\x00\x00\x00"s + std::string(size_t{4} << 18, '\0');
    };
    check(load_checkpoint(scratch.write(file_of(1))).tensors.size() == 1, "an unaligned tensor is not loaded");
    const long growth = peak_growth([&] {  // 500 packed ones would be 524 MB
      const std::string sentence = refused(ErrorCode::Checkpoint, [&] { load_checkpoint(scratch.write(file_of(500))); });
      check(contains(sentence, "larger than the file"), sentence);
    });
    check(growth < 20'000'000, "500 tensors over one storage took ", growth, " bytes");
  }
});

/// So many numbers from `offset` on of a storage "0" of `numel`, whose bytes follow the pickles.
std::string part_of_storage(const std::string& type, int32_t numel, int32_t offset, int32_t count) {
  const auto number = [](int32_t value) { return "J" + std::string(reinterpret_cast<const char*>(&value), sizeof(value)); };
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + unicode("storage") + "ctorch\n" + type + "\n" + unicode("0") + unicode("cpu") + number(numel) +
         "tQ" + number(offset) + number(count) + "\x85K\x01\x85\x89NtR";
}

const Registration views("checkpoint: tensors of one storage are read one by one, and named by themselves", [] {
  using namespace std::string_literals;
  constexpr int32_t kEach = 1 << 18, kTensors = 32, kNumel = kTensors * kEach;
  std::string tensors = "}";
  for (int32_t i = 0; i < kTensors; ++i)
    tensors += unicode(std::to_string(i) + "t") + part_of_storage("FloatStorage", kNumel, i * kEach, kEach) + "s";
  const int64_t numel = kNumel;
  const Scratch scratch;
  scratch.write(legacy(tensors, "\x80\x02](" + unicode("0") + "e.") + std::string(reinterpret_cast<const char*>(&numel), sizeof(numel)) +
                std::string(sizeof(float) * (kNumel - 1), '\0') + "\x00\x00\xc0\x7f"s);  // the last number is NaN
  const at::Tensor zeros = at::zeros({kEach});
  const long growth = peak_growth([&] {
    CheckpointFile file(scratch.path());
    for (const auto& [name, tensor] : file.take_tensors()) {
      if (name != "31t") {
        check(at::equal(file.read(tensor), zeros), name, " is another");
        continue;
      }
      const std::string sentence = refused(ErrorCode::Checkpoint, [&file, tensor = tensor] { file.read(tensor); });
      check(contains(sentence, ": 31t holds numbers that are not finite"), sentence);
    }
  });
  check(growth < 16'000'000, "parts of 1 MB of a storage of 32 MB took ", growth, " bytes");
});

const Registration whole("checkpoint: whole numbers of 2^48 and more are no network's either", [] {
  const Scratch scratch;
  std::string object = "}";
  object += unicode("weight") + part_of_storage("LongStorage", 1, 0, 1) + "s";
  const std::string pickles = legacy(object, "\x80\x02](" + unicode("0") + "e.");
  for (const int64_t value : {int64_t{1} << 47, int64_t{1} << 48, -(int64_t{1} << 62), std::numeric_limits<int64_t>::min()}) {
    const int64_t content[] = {1, value};  // how many, and which
    CheckpointFile file(scratch.write(pickles + std::string(reinterpret_cast<const char*>(content), sizeof(content))));
    const at::Tensor placed = file.take_tensors().at(0).second;
    if (value == int64_t{1} << 47) {
      check(file.read(placed).item<int64_t>() == value, "2^47 is another");
    } else {
      check(contains(refused(ErrorCode::Checkpoint, [&] { file.read(placed); }), "weight holds numbers"), value, " was read");
    }
  }
});

const Registration crowded("checkpoint: an optimizer that holds more for a parameter than any does is refused", [] {
  using namespace std::string_literals;
  const Scratch scratch;
  const std::string tensor = "ctorch._utils\n_rebuild_tensor_v2\n((" + unicode("storage") + "ctorch\nFloatStorage\n" + unicode("0") + unicode("cpu") +
                             "K\x01tQK\x00K\x01\x85K\x01\x85\x89NtR"s;
  const auto file_of = [&](int values) {
    std::string state = "}K\x00}("s;
    for (int i = 0; i < values; ++i) state += unicode(std::to_string(i)) + "N";
    return legacy(
               "}" + unicode("state_dict") + "}" + unicode("weight") + tensor + "ss" + unicode("optimizer") + "}" + unicode("state") + state + "usss",
               "\x80\x02](" + unicode("0") + "e.") +
           "\x01\0\0\0\0\0\0\0\0\0\0\0"s;
  };
  check(load_checkpoint(scratch.write(file_of(64))).moments.empty(), "an optimizer of nothing is one");
  const std::string sentence = refused(ErrorCode::Checkpoint, [&] { load_checkpoint(scratch.write(file_of(65))); });
  check(contains(sentence, "more than 64 values for a parameter"), sentence);
});

const Registration lent("checkpoint: memory that was read into serves what is of about its size, and a bias holds no layer's", [] {
  constexpr size_t kLayer = 9 << 20;
  ReadBuffers buffers;
  at::Tensor first = buffers.take(kLayer);
  const void* const place = first.data_ptr();
  buffers.give_back(std::move(first));
  check(buffers.take(1024).nbytes() == 1024, "1,024 bytes hold more");
  check(buffers.take(kLayer - 1024).data_ptr() == place, "a layer's memory does not serve the next");
});

const Registration checksums("checkpoint: the checksum is zip's, of every length, place and division", [] {
  std::mt19937 random(7);
  std::string bytes(2000, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  for (size_t size = 0; size < 1000; ++size) {
    const std::string_view part = std::string_view(bytes).substr(random() % 1000, size);
    const std::span<const uint8_t> whole(reinterpret_cast<const uint8_t*>(part.data()), size);
    const size_t first = random() % (size + 1);
    check(crc32(0, whole) == fuzz::crc32_of(part), "of ", size, " bytes");
    check(crc32(crc32(0, whole.first(first)), whole.subspan(first)) == fuzz::crc32_of(part), "of ", first, " bytes and the rest of ", size);
  }
});

void damage(const std::string& file) {
  const std::string whole = read_file(kCheckpoints / file);
  const Scratch scratch;
  for (int i = 0; i < 200; ++i) {
    const size_t length = whole.size() * static_cast<size_t>(i) / 200;
    check(!load_or_refuse(scratch.write(whole.substr(0, length))), "a file cut at byte ", length, " of ", whole.size(), " was loaded");
  }
  std::mt19937 random(20200824);
  int loaded = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string flipped = whole;
    flipped[random() % whole.size()] ^= static_cast<char>(1 + random() % 255);
    loaded += load_or_refuse(scratch.write(flipped));
  }
  // A flip in a tensor's bytes, in padding or in metadata changes no structure; one in the pickle nearly always does.
  check(loaded > 0 && loaded < 2000, loaded, " of 2000 flipped files were loaded");
}

const Registration fuzz_zip("checkpoint: zip: cut at 200 places and flipped in 2,000, it loads or is refused", [] { damage("good_zip.pth"); });
const Registration fuzz_legacy("checkpoint: legacy: cut at 200 places and flipped in 2,000, it loads or is refused",
                               [] { damage("good_legacy.pth"); });

}  // namespace
