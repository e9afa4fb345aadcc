#include "stand_in.h"

struct Microseconds {
    int64_t value;
    int64_t count() const
    {
        return value;
    }
};

class Timer {
public:
    void start()
    {
        runs = true;
    }
    Microseconds elapsed_time() const
    {
        return {runs ? stand_in_clock() : 0};
    }

private:
    bool runs = false;
};

static inline void thread_sleep_for(uint32_t ms)
{
    cf_port_exit(ms == 5000u ? 0 : 1);
}
