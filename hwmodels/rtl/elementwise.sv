// The element-wise unit: LANES lanes that share nothing but the valid bit and whether they multiply.
module elementwise #(
    parameter int LANES      = 64,
    parameter int LATENCY    = 3,
    parameter int GUARD_BITS = 8,
    parameter int MAX_SHIFT  = 31,
    parameter int ROUNDING   = 2,
    parameter int CODE_BITS  = 16,
    parameter int SUM_BITS   = 32
) (
    input  logic                       clk,
    input  logic                       rst,
    input  logic                       valid,
    input  logic                       multiply,
    input  logic [LANES*CODE_BITS-1:0] a,
    input  logic         [LANES*8-1:0] a_exponent,
    input  logic [LANES*CODE_BITS-1:0] b,
    input  logic         [LANES*8-1:0] b_exponent,
    output logic                       done,
    output logic  [LANES*SUM_BITS-1:0] sum,
    output logic         [LANES*9-1:0] exponent,
    output logic         [LANES*2-1:0] flushed
);
  logic busy[LATENCY];
  for (genvar i = 0; i < LATENCY; i++) begin : stage
    always_ff @(posedge clk) busy[i] <= ~rst & (i == 0 ? valid : busy[i==0?0:i-1]);
  end
  assign done = busy[LATENCY-1];

  for (genvar i = 0; i < LANES; i++) begin : lane
    elementwise_lane #(
        .GUARD_BITS(GUARD_BITS), .MAX_SHIFT(MAX_SHIFT), .ROUNDING(ROUNDING), .LATENCY(LATENCY),
        .CODE_BITS(CODE_BITS), .SUM_BITS(SUM_BITS)
    ) u (
        .clk(clk),
        .multiply(multiply),
        .a(a[i*CODE_BITS+:CODE_BITS]),
        .a_exponent(a_exponent[i*8+:8]),
        .b(b[i*CODE_BITS+:CODE_BITS]),
        .b_exponent(b_exponent[i*8+:8]),
        .sum(sum[i*SUM_BITS+:SUM_BITS]),
        .exponent(exponent[i*9+:9]),
        .flushed(flushed[i*2+:2])
    );
  end
endmodule
