// One lane of the softmax unit, in all three passes: softmax_parts.lane_step. An element is aligned; a
// distance becomes an exponential; an exponential is multiplied by the reciprocal of its row's sum.
module softmax_lane #(
    parameter int CODE_BITS = 16,
    parameter int GUARD     = 4,
    parameter int FRACTION  = 16,
    parameter int SEGMENTS  = 64,   // of the table of exponentials, a power of two
    parameter int LATENCY   = 8,    // no less than the eight stages
    parameter int ADDRESS   = $clog2(SEGMENTS / 2 + 1),
    parameter int ENTRY     = FRACTION + 1,
    parameter int BITS      = CODE_BITS + GUARD > ENTRY + 1 ? CODE_BITS + GUARD : ENTRY + 1
) (
    input  logic                        clk,
    input  logic signed [CODE_BITS-1:0] code,
    input  logic signed           [7:0] exponent,
    input  logic                        key,
    input  logic signed      [BITS-1:0] stored,
    input  logic            [ENTRY-1:0] even,
    input  logic            [ENTRY-1:0] odd,
    input  logic signed           [7:0] row_exponent,
    input  logic signed      [BITS-1:0] top,
    input  logic signed           [8:0] shift,
    input  logic            [ENTRY-1:0] inverse,
    input  logic                  [5:0] place,
    input  logic                  [1:0] phase,
    output logic          [ADDRESS-1:0] even_address,
    output logic          [ADDRESS-1:0] odd_address,
    output logic signed      [BITS-1:0] word,
    output logic signed      [BITS-1:0] written
);
  localparam int Low = FRACTION - $clog2(SEGMENTS);

  // Pass 1: how far below its row's exponent an element lies; shifted, with guard bits
  localparam int Left = GUARD > 0 ? GUARD : 1;
  logic signed [CODE_BITS-1:0] code_2;
  logic signed [CODE_BITS+Left-1:0] scaled;
  logic signed [BITS-1:0] aligned;
  logic signed [8:0] apart;
  logic [7:0] below;
  logic key_2;
  assign apart = 9'(row_exponent) - 9'(exponent);
  always_ff @(posedge clk) begin
    code_2 <= code;
    below  <= apart < 0 ? '0 : apart[7:0];
    key_2  <= key;
  end
  scale #(.WX(CODE_BITS), .WS(10), .LIMIT(24), .LONGEST_LEFT(Left)) u_scale (
      .x(code_2),
      .s(10'(GUARD) - $signed({2'b0, below})),
      .y(scaled)
  );
  assign aligned = key_2 ? BITS'(scaled) : {1'b1, {(BITS - 1) {1'b0}}};

  // Pass 2: the distance from the largest, in octaves, with as many fraction bits as the table has
  localparam logic signed [15:0] Log2e = 16'd23637;
  localparam logic [FRACTION+4:0] Vanished = '1;
  localparam int Far = FRACTION + 5;
  logic signed [BITS:0] difference;
  logic [BITS-1:0] distance;
  logic [BITS+14:0] octaves;
  logic signed [BITS+15+Far:0] held;
  logic [FRACTION+4:0] exact;
  assign difference = (BITS + 1)'(top) - (BITS + 1)'(stored);
  always_ff @(posedge clk) begin
    distance <= difference < 0 ? '0 : difference[BITS-1:0];
    octaves  <= (BITS + 15)'(distance) * (BITS + 15)'(Log2e);
    exact    <= held > (BITS + 16 + Far)'({1'b0, Vanished}) ? Vanished : held[FRACTION+4:0];
  end
  scale #(.WX(BITS + 16), .WS(9), .LIMIT(62), .LONGEST_LEFT(Far), .ROUNDING(1)) u_octaves (
      .x({1'b0, octaves}),
      .s(shift),
      .y(held)
  );

  // the fraction by the table, the octaves by a shift; nothing of a masked key
  logic odd_first;
  logic [Low-1:0] low;
  logic [4:0] whole, whole_2;
  logic [ENTRY-1:0] line;
  logic signed [ENTRY:0] between, power;
  logic taken[5];
  assign odd_address  = ADDRESS'(exact[FRACTION-1:0] >> (Low + 1));
  assign even_address = odd_address + ADDRESS'(exact[Low]);
  interpolate #(.W(ENTRY + 1), .LOW(Low)) u_line (
      .left ({1'b0, odd_first ? odd : even}),
      .right({1'b0, odd_first ? even : odd}),
      .low  (low),
      .y    (between)
  );
  always_ff @(posedge clk) begin
    odd_first <= exact[Low];
    low       <= exact[Low-1:0];
    whole     <= exact[FRACTION+:5];
    line      <= between[ENTRY-1:0];
    whole_2   <= whole;
  end
  for (genvar i = 0; i < 5; i++) begin : with_key
    always_ff @(posedge clk) taken[i] <= i == 0 ? key : taken[i==0?0:i-1];
  end
  round_shift #(.W(ENTRY + 1), .S(5), .ROUNDING(1)) u_power (.x({1'b0, line}), .s(whole_2), .y(power));

  // Pass 3: times the reciprocal, and down by the places of the sum
  logic signed [2*ENTRY+1:0] exact_product;
  logic signed [2*ENTRY:0] quotient;
  logic [2*ENTRY-1:0] product;
  logic [FRACTION-1:0] fraction;
  multiplier #(.WA(ENTRY + 1), .WB(ENTRY + 1)) u_quotient (
      .a($signed({1'b0, stored[ENTRY-1:0]})),
      .b($signed({1'b0, inverse})),
      .p(exact_product)
  );
  always_ff @(posedge clk) product <= exact_product[2*ENTRY-1:0];
  round_shift #(.W(2 * ENTRY + 1), .S(6), .ROUNDING(1)) u_fraction (
      .x({1'b0, product}), .s(place), .y(quotient)
  );
  assign fraction = |quotient[2*ENTRY:FRACTION] ? '1 : quotient[FRACTION-1:0];

  // what the chunk has become; out, and as many cycles later as the pipeline is longer than eight stages
  localparam int Last = LATENCY - 8;
  logic signed [BITS-1:0] words[Last+1];
  always_ff @(posedge clk) begin
    case (phase)
      2'd0: word <= aligned;
      2'd1: word <= taken[4] ? BITS'(power) : '0;
      default: word <= BITS'({1'b0, fraction});
    endcase
  end
  for (genvar i = 0; i <= Last; i++) begin : stage
    always_ff @(posedge clk) words[i] <= i == 0 ? word : words[i==0?0:i-1];
  end
  assign written = words[Last];

  logic unused;
  assign unused = ^{between[ENTRY], exact_product[2*ENTRY+1:2*ENTRY], apart[8]};
endmodule
