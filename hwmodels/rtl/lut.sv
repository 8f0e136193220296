// The LUT unit: LANES lanes that share nothing but the valid bit.
module lut #(
    parameter int LANES     = 64,
    parameter int LATENCY   = 4,
    parameter int CODE_BITS = 16,
    parameter int BITS      = 20,
    parameter int FRACTION  = 12,
    parameter int STEP_BITS = 8,
    parameter int SEGMENTS  = 256,
    parameter int ADDRESS   = $clog2(SEGMENTS / 2 + 1)
) (
    input  logic                       clk,
    input  logic                       rst,
    input  logic                       valid,
    input  logic [LANES*CODE_BITS-1:0] code,
    input  logic         [LANES*8-1:0] exponent,
    input  logic      [LANES*BITS-1:0] even,
    input  logic      [LANES*BITS-1:0] odd,
    output logic                       read,
    output logic   [LANES*ADDRESS-1:0] even_address,
    output logic   [LANES*ADDRESS-1:0] odd_address,
    output logic                       done,
    output logic      [LANES*BITS-1:0] sum,
    output logic           [LANES-1:0] clipped
);
  logic busy[LATENCY];
  for (genvar i = 0; i < LATENCY; i++) begin : stage
    always_ff @(posedge clk) busy[i] <= ~rst & (i == 0 ? valid : busy[i==0?0:i-1]);
  end
  assign read = busy[0];
  assign done = busy[LATENCY-1];

  for (genvar i = 0; i < LANES; i++) begin : lane
    lut_lane #(
        .CODE_BITS(CODE_BITS), .BITS(BITS), .FRACTION(FRACTION), .STEP_BITS(STEP_BITS), .SEGMENTS(SEGMENTS),
        .LATENCY(LATENCY)
    ) u (
        .clk(clk),
        .code(code[i*CODE_BITS+:CODE_BITS]),
        .exponent(exponent[i*8+:8]),
        .even(even[i*BITS+:BITS]),
        .odd(odd[i*BITS+:BITS]),
        .even_address(even_address[i*ADDRESS+:ADDRESS]),
        .odd_address(odd_address[i*ADDRESS+:ADDRESS]),
        .sum(sum[i*BITS+:BITS]),
        .clipped(clipped[i])
    );
  end
endmodule
