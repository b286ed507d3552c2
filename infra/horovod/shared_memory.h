// Ranks of one host add up in memory that they share instead of through sockets: build.py puts this file into Horovod's source.
//
// Each rank has two slots, used in turn. A piece of a tensor is copied into the rank's slot; each rank adds up its share of the piece over
// all slots, then over the hosts where there are several, and copies what the others have added up. The ranks wait for each other through
// Gloo: one that is lost, or too late, is noticed there as it is in any other sum.

#ifndef HOROVOD_SHARED_MEMORY_H
#define HOROVOD_SHARED_MEMORY_H

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>

#include "gloo/allreduce.h"
#include "gloo/barrier.h"
#include "gloo/broadcast.h"
#include "gloo/math.h"

namespace horovod {
namespace common {

class SharedMemory {
public:
  using Context = std::shared_ptr<gloo::Context>;
  using Reduce = void (*)(void*, const void*, const void*, size_t);

  // Bytes of a tensor from which on this is faster than sockets: as fast at 256 KB on two ranks, three times as fast at 4 MB.
  static constexpr size_t WORTH_IT = 256 << 10;

  // All ranks of a process set call it together. Null for all of them where hosts have one rank, or different numbers of ranks, or where
  // the ranks of a host cannot share memory (containers of their own).
  static std::shared_ptr<SharedMemory> Make(const Context& all, const Context& local, const Context& cross) {
    std::shared_ptr<SharedMemory> made(new SharedMemory(local, cross));
    int agreed = local->size * cross->size == all->size && local->size > 1 && made->same_;
    gloo::AllreduceOptions opts(all);
    opts.setOutput(&agreed, 1);
    void (*least)(void*, const void*, const void*, size_t) = &gloo::min<int>;
    opts.setReduceFunction(least);
    gloo::allreduce(opts);
    return agreed ? made : nullptr;
  }

  ~SharedMemory() {
    if (memory_ != MAP_FAILED) {
      munmap(memory_, Bytes());
    }
    if (file_ >= 0) {
      close(file_);
    }
  }

  // In place, and to the bit the same on all ranks.
  template <typename T> void Allreduce(T* tensor, size_t elements, Reduce reduce) {
    for (size_t piece; elements; tensor += piece, elements -= piece) {
      piece = std::min(elements, SLOT / sizeof(T));
      turn_ = !turn_;
      std::memcpy(Slot<T>(local_->rank), tensor, piece * sizeof(T));
      Wait();
      size_t count;
      T* mine = Share<T>(local_->rank, local_->rank, piece, &count);
      for (int step = 1; step < local_->size; ++step) {
        reduce(mine, mine, Share<T>((local_->rank + step) % local_->size, local_->rank, piece, &count), count);
      }
      if (cross_->size > 1 && count) {
        gloo::AllreduceOptions opts(cross_);
        opts.setOutput(mine, count);
        opts.setReduceFunction(reduce);
        gloo::allreduce(opts);
      }
      Wait();
      T* place = tensor;
      for (int rank = 0; rank < local_->size; ++rank, place += count) {
        T* theirs = Share<T>(rank, rank, piece, &count);
        std::memcpy(place, theirs, count * sizeof(T));
      }
    }
  }

private:
  // Bytes; a larger tensor goes through in pieces.
  static constexpr size_t SLOT = 4 << 20;

  // The first rank makes the memory, the others open it. It has no name in any file system: the kernel frees it with the last rank, however
  // that ends.
  SharedMemory(const Context& local, const Context& cross) : local_(local), cross_(cross) {
    struct {
      long process;
      int file;
      unsigned token;
    } where = {getpid(), -1, std::random_device()()};
    if (local_->rank == 0) {
      file_ = memfd_create("horovod", MFD_CLOEXEC);
      where.file = file_ >= 0 && ftruncate(file_, Bytes()) == 0 ? file_ : -1;
    }
    gloo::BroadcastOptions opts(local_);
    opts.setRoot(0);
    opts.setOutput(reinterpret_cast<char*>(&where), sizeof(where));
    gloo::broadcast(opts);
    if (local_->rank && where.file >= 0) {
      std::string path = "/proc/" + std::to_string(where.process) + "/fd/" + std::to_string(where.file);
      file_ = open(path.c_str(), O_RDWR | O_CLOEXEC);
    }
    struct stat found;
    if (where.file >= 0 && file_ >= 0 && fstat(file_, &found) == 0 && static_cast<size_t>(found.st_size) == Bytes()) {
      memory_ = static_cast<char*>(mmap(nullptr, Bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0));
    }
    bool mapped = memory_ != MAP_FAILED;
    unsigned* token = reinterpret_cast<unsigned*>(memory_);
    if (local_->rank == 0 && mapped) {
      *token = where.token;
    }
    Wait();
    // In a container of its own, a rank may have opened a file of another process by that number.
    same_ = mapped && *token == where.token;
    Wait();
  }

  size_t Bytes() const { return 2 * SLOT * local_->size; }

  template <typename T> T* Slot(int rank) { return reinterpret_cast<T*>(memory_ + SLOT * (2 * rank + turn_)); }

  // The part of a rank's slot that `adder` adds up, and its elements.
  template <typename T> T* Share(int rank, int adder, size_t piece, size_t* count) {
    size_t begin = piece * adder / local_->size;
    *count = piece * (adder + 1) / local_->size - begin;
    return Slot<T>(rank) + begin;
  }

  void Wait() {
    gloo::BarrierOptions opts(local_);
    gloo::barrier(opts);
  }

  Context local_, cross_;
  int file_ = -1;
  char* memory_ = static_cast<char*>(MAP_FAILED);
  bool same_ = false;
  // Who still copies out of one slot is not disturbed by who already fills the other.
  bool turn_ = false;
};

} // namespace common
} // namespace horovod

#endif // HOROVOD_SHARED_MEMORY_H
