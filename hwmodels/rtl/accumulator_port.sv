// The accumulator of one memory: accumulator.step. A word's address enters a cycle held its term, so that
// what is read arrives with the term. The sum is written in that cycle, or LATENCY - 1 cycles later.
// A word that was read in the cycle in which it was written is the one that was written.
module accumulator_port #(
    parameter int BITS       = 32,
    parameter int SUM_BITS   = 33,
    parameter bit SATURATING = 1'b1,
    parameter int ROWS       = 256,
    parameter int LATENCY    = 1,
    parameter int ADDRESS    = ROWS > 1 ? $clog2(ROWS) : 1
) (
    input  logic                       clk,
    input  logic                       rst,
    input  logic                       valid,
    input  logic         [ADDRESS-1:0] address,
    input  logic signed [SUM_BITS-1:0] term,
    input  logic signed     [BITS-1:0] word,
    output logic                       read,
    output logic         [ADDRESS-1:0] read_address,
    output logic                       write,
    output logic         [ADDRESS-1:0] write_address,
    output logic signed     [BITS-1:0] write_word,
    output logic                       overflow
);
  localparam int Last = LATENCY - 1;
  logic busy[LATENCY];
  logic [ADDRESS-1:0] addresses[LATENCY];
  logic signed [BITS-1:0] sums[LATENCY];
  logic again;

  logic signed [BITS-1:0] held, total;
  logic over;
  assign held = again ? sums[Last] : word;
  accumulator #(.BITS(BITS), .SUM_BITS(SUM_BITS), .SATURATING(SATURATING)) u_add (
      .acc(held),
      .x(term),
      .sum(total),
      .overflow(over)
  );
  assign overflow = busy[0] & over;

  for (genvar i = 0; i < LATENCY; i++) begin : stage
    always_ff @(posedge clk) begin
      busy[i]      <= ~rst & (i == 0 ? valid : busy[i==0?0:i-1]);
      addresses[i] <= i == 0 ? address : addresses[i==0?0:i-1];
      sums[i]      <= i == 0 ? total : sums[i==0?0:i-1];
    end
  end
  always_ff @(posedge clk) again <= write && write_address == address;

  assign read          = valid;
  assign read_address  = address;
  assign write         = busy[Last];
  assign write_address = addresses[Last];
  generate
    if (LATENCY == 1) begin : at_once
      assign write_word = total;
    end else begin : later
      assign write_word = sums[LATENCY-2];
    end
  endgenerate
endmodule
