#include "checkpoint/checkpoint.h"

#include <initializer_list>
#include <memory>
#include <string_view>
#include <utility>

#include "checkpoint/container.h"
#include "checkpoint/file_bytes.h"
#include "checkpoint/pickle.h"
#include "checkpoint/python_literal.h"
#include "checkpoint/tensor_store.h"
#include "runtime/error.h"
#include "runtime/interrupt.h"

namespace cornernet {
namespace {

using pickle::Kind;
using pickle::Value;

// Bounds that no CornerNet comes near; they keep a small file from standing for much memory.
constexpr size_t kMaxTensors = 20'000, kMostStates = 64;

/// A checkpoint is a dictionary with a state_dict, or is one.
const Value& state_dict_of(const Value& root) {
  if (root.kind != Kind::Dict) refuse_checkpoint("the file holds no dictionary: it is not a checkpoint");
  const Value* inner = root.find("state_dict");
  if (!inner) return root;
  if (inner->kind != Kind::Dict) refuse_checkpoint("the checkpoint's state_dict is no dictionary");
  return *inner;
}

std::string without_module(std::string_view name) {
  constexpr std::string_view kPrefix = "module.";  // torch's data-parallel wrappers
  return std::string(name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name);
}

/// Those of a dictionary, which messages call `what`.
NamedTensors place_tensors(const Value& state_dict, const std::string& what, TensorStore& store) {
  NamedTensors tensors;
  for (size_t i = 0; i + 1 < state_dict.items.size(); i += 2) {
    const Value& key = *state_dict.items[i];
    const Value& value = *state_dict.items[i + 1];
    if (key.kind != Kind::String) refuse_checkpoint("a key of the " + what + " is no string");
    if (key.text.size() > kLongestName) refuse_checkpoint("a key of the " + what + " has " + std::to_string(key.text.size()) + " characters");
    if (i >= 2 * kMaxTensors) refuse_checkpoint("its " + what + " has more than " + std::to_string(kMaxTensors) + " tensors");
    const std::string name = without_module(key.text);
    if (value.kind != Kind::Tensor) {
      const bool made = value.kind == Kind::Opaque || value.kind == Kind::Global;
      refuse_checkpoint("the " + what + "'s " + name + " is no tensor" +
                        (made ? " but of " + value.qualified_name() + ", which is not read" : std::string()));
    }
    check_interrupted();
    tensors.emplace_back(name, store.place(name, value.tensor));
  }
  return tensors;
}

NamedTensors place_tensors(const Value& root, TensorStore& store) {
  NamedTensors tensors = place_tensors(state_dict_of(root), "state_dict", store);
  if (tensors.empty()) refuse_checkpoint("the checkpoint holds no tensors");
  return tensors;
}

NamedTensors place_quantization(const Value& root, TensorStore& store) {
  const Value* stated = root.find("quantization");
  if (!stated) return {};
  if (stated->kind != Kind::Dict) refuse_checkpoint("the checkpoint's quantization is no dictionary");
  return place_tensors(*stated, "quantization", store);
}

std::vector<std::string> strings_of(const Value* list) {
  std::vector<std::string> strings;
  if (!list || (list->kind != Kind::Tuple && list->kind != Kind::List)) return strings;
  if (list->items.size() > kMostClasses) return strings;
  for (const Value* item : list->items) {
    if (item->kind != Kind::String || item->text.size() > kLongestName) return {};
    strings.emplace_back(item->text);
  }
  return strings;
}

const Value* find_in(const Value* dict, std::initializer_list<std::string_view> keys) {
  if (!dict || dict->kind != Kind::Dict) return nullptr;
  for (const std::string_view key : keys) {
    if (const Value* found = dict->find(key)) return found;
  }
  return nullptr;
}

/// What can't be read is left out: metadata only helps.
CheckpointMeta read_meta(const Value& root) {
  CheckpointMeta meta;
  const Value* values = find_in(&root, {"meta"});
  meta.classes = strings_of(find_in(values, {"CLASSES"}));
  if (meta.classes.empty()) meta.classes = strings_of(find_in(find_in(values, {"dataset_meta"}), {"classes", "CLASSES"}));
  const Value* config = find_in(values, {"config", "cfg"});
  if (config && config->kind == Kind::String) meta.config = config->text.substr(0, kMaxConfigText);
  const auto count = [&](const char* name) {
    const Value* value = find_in(values, {name});
    return value && value->kind == Kind::Int ? value->integer : 0;
  };
  meta.iteration = count("iter");
  meta.epoch = count("epoch");
  return meta;
}

struct PlacedMoments {
  std::map<int64_t, AdamMoments> moments;
  std::map<int64_t, at::Tensor> steps;  // torch's optimizers keep them as a number or as a tensor of one
};

/// As torch's Adam states it; nothing of another optimizer.
PlacedMoments place_moments(const Value& root, TensorStore& store) {
  PlacedMoments placed;
  const Value* state = find_in(find_in(&root, {"optimizer"}), {"state"});
  if (!state || state->kind != Kind::Dict) return placed;
  if (state->items.size() > 2 * kMaxTensors) refuse_checkpoint("its optimizer has more than " + std::to_string(kMaxTensors) + " parameters");
  for (size_t i = 0; i + 1 < state->items.size(); i += 2) {
    const Value &place = *state->items[i], &of_parameter = *state->items[i + 1];
    check_interrupted();
    if (of_parameter.items.size() > 2 * kMostStates)  // else many that share a long one would take hours
      refuse_checkpoint("its optimizer has more than " + std::to_string(kMostStates) + " values for a parameter");
    const Value* const steps = find_in(&of_parameter, {"step"});
    const auto tensor = [&](const char* name) {
      const Value* value = find_in(&of_parameter, {name});
      return value && value->kind == Kind::Tensor ? store.place(std::string("the optimizer's ") + name, value->tensor) : at::Tensor();
    };
    AdamMoments one{0, tensor("exp_avg"), tensor("exp_avg_sq")};
    if (place.kind != Kind::Int || !steps || !one.exp_avg.defined() || !one.exp_avg_sq.defined()) return {};
    if (steps->kind == Kind::Int) {
      one.steps = static_cast<double>(steps->integer);
    } else {
      const at::Tensor counted = tensor("step");
      if (!counted.defined() || counted.numel() != 1) return {};
      placed.steps.insert_or_assign(place.integer, counted);
    }
    placed.moments.insert_or_assign(place.integer, std::move(one));
  }
  return placed;
}

/// As torch's GradScaler states it, which mmengine keeps beside the optimizer's state.
std::optional<LossScaling> read_loss_scaling(const Value& root) {
  const Value* const scaler = find_in(find_in(&root, {"optimizer"}), {"loss_scaler"});
  const Value *const factor = find_in(scaler, {"scale"}), *const borne = find_in(scaler, {"_growth_tracker"});
  if (!factor || factor->kind != Kind::Float || !borne || borne->kind != Kind::Int) return std::nullopt;
  return LossScaling{factor->real, borne->integer};
}

/// Failures name the file.
template <typename Body>
auto of_file(const std::string& path, Body body) {
  try {
    return body();
  } catch (const Error& error) {
    throw Error(error.code(), "the checkpoint " + path + ": " + error.what());
  }
}

}  // namespace

CheckpointFile::CheckpointFile(const std::string& path, bool with_moments) : path_(path) {
  of_file(path, [&] {
    const std::shared_ptr<FileBytes> file = FileBytes::open(path);
    const Bytes bytes = file->bytes();
    pickle::Unpickler unpickler("the checkpoint's pickle", bytes.size());
    const Demand demand = [&file](Bytes part) { file->read(part); };
    Container container = is_zip(bytes, demand) ? open_zip(bytes, unpickler, demand) : open_legacy(bytes, unpickler, demand);
    const Value& root = *container.root;
    store_ = std::make_unique<TensorStore>(file, std::move(container));
    contents_ = {place_tensors(root, *store_), read_meta(root), {}, place_quantization(root, *store_)};
    if (with_moments) {
      PlacedMoments placed = place_moments(root, *store_);
      contents_.moments = std::move(placed.moments);
      steps_ = std::move(placed.steps);
      contents_.loss_scaling = read_loss_scaling(root);
    }
    store_->settle();
  });
}

CheckpointFile::~CheckpointFile() = default;

at::Tensor CheckpointFile::read(const at::Tensor& tensor, bool any_number) const {
  return of_file(path_, [&] { return store_->read(tensor, any_number); });
}

std::map<int64_t, AdamMoments> CheckpointFile::read_moments() const {
  std::map<int64_t, AdamMoments> moments;
  for (const auto& [place, placed] : contents_.moments) {
    const auto counted = steps_.find(place);
    const double steps = counted == steps_.end() ? placed.steps : read(counted->second).item<double>();
    moments[place] = {steps, read(placed.exp_avg), read(placed.exp_avg_sq)};
  }
  return moments;
}

void CheckpointFile::close() {
  of_file(path_, [&] { store_->close(); });
}

Checkpoint load_checkpoint(const std::string& path) {
  CheckpointFile file(path, /*with_moments=*/true);
  Checkpoint checkpoint{file.take_tensors(), file.meta(), file.read_moments(), {}, file.loss_scaling()};
  for (auto& [name, tensor] : checkpoint.tensors) tensor = file.read(tensor, /*any_number=*/true);
  file.close();
  return checkpoint;
}

}  // namespace cornernet
