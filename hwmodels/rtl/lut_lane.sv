// One lane of the LUT unit: fixed point, two entries of the table, interpolation, in four stages or more.
// The table lies in two memories, of even and of odd entries, so that neighbours are read at once; what is
// read arrives in the next cycle.
module lut_lane #(
    parameter int CODE_BITS = 16,
    parameter int BITS      = 20,   // of the fixed-point word, and of an entry
    parameter int FRACTION  = 12,
    parameter int STEP_BITS = 8,    // low bits that interpolate
    parameter int SEGMENTS  = 256,
    parameter int LATENCY   = 4,    // no less than the four stages
    parameter int ADDRESS   = $clog2(SEGMENTS / 2 + 1)
) (
    input  logic                        clk,
    input  logic signed [CODE_BITS-1:0] code,
    input  logic signed           [7:0] exponent,
    input  logic signed      [BITS-1:0] even,
    input  logic signed      [BITS-1:0] odd,
    output logic          [ADDRESS-1:0] even_address,
    output logic          [ADDRESS-1:0] odd_address,
    output logic signed      [BITS-1:0] sum,
    output logic                        clipped
);
  localparam logic signed [BITS-1:0] Span = BITS'((SEGMENTS << STEP_BITS) / 2);

  // 1: to fixed point
  logic signed [9:0] shift;
  logic signed [CODE_BITS+BITS-1:0] scaled;
  logic signed [BITS-1:0] saturated, word;
  logic beyond;
  assign shift = 10'(exponent) + 10'(FRACTION);
  scale #(.WX(CODE_BITS), .WS(10), .LIMIT(BITS)) u_scale (.x(code), .s(shift), .y(scaled));
  saturate #(.WI(CODE_BITS + BITS), .WO(BITS)) u_saturate (.x(scaled), .y(saturated));
  always_ff @(posedge clk) begin
    word   <= saturated;
    beyond <= (CODE_BITS + BITS)'(saturated) != scaled;
  end

  // 2: which entries
  logic signed [BITS:0] position;
  logic covered, in_table, odd_first, beyond_2;
  logic [STEP_BITS-1:0] low;
  logic signed [BITS-1:0] tail;
  assign covered  = word >= -Span && word < Span;
  assign position = covered ? (BITS + 1)'(word) + (BITS + 1)'(Span) : '0;
  assign odd_address  = ADDRESS'(position >>> (STEP_BITS + 1));
  assign even_address = ADDRESS'((position + (BITS + 1)'(1 << STEP_BITS)) >>> (STEP_BITS + 1));
  always_ff @(posedge clk) begin
    in_table    <= covered;
    odd_first <= position[STEP_BITS];
    low       <= position[STEP_BITS-1:0];
    tail      <= word < 0 ? '0 : word;
    beyond_2  <= beyond;
  end

  // 3: the entries arrive and are interpolated
  logic signed [BITS-1:0] between, value;
  logic beyond_3;
  interpolate #(.W(BITS), .LOW(STEP_BITS)) u_between (
      .left (odd_first ? odd : even),
      .right(odd_first ? even : odd),
      .low  (low),
      .y    (between)
  );
  always_ff @(posedge clk) begin
    value    <= in_table ? between : tail;
    beyond_3 <= beyond_2;
  end

  // 4: out, and as many cycles later as the pipeline is longer than four stages
  localparam int Last = LATENCY - 4;
  logic signed [BITS-1:0] sums[Last+1];
  logic beyond_4[Last+1];
  for (genvar i = 0; i <= Last; i++) begin : stage
    always_ff @(posedge clk) begin
      sums[i]     <= i == 0 ? value : sums[i==0?0:i-1];
      beyond_4[i] <= i == 0 ? beyond_3 : beyond_4[i==0?0:i-1];
    end
  end
  assign sum     = sums[Last];
  assign clipped = beyond_4[Last];
endmodule
