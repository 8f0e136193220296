// A lane of the norm unit's pass 2: (N x - s1) root / 2**half, times gamma, plus beta: norm_lanes.element_step.
// Each input comes when the element is at the stage that needs it. Behind a product stands a second register,
// so that the multiplier may take two stages.
module norm_element #(
    parameter int LATENCY = 12   // from the read of the element, no less than 11
) (
    input  logic               clk,
    input  logic signed [15:0] word,
    input  logic        [13:0] length,
    input  logic signed [29:0] s1,
    input  logic        [18:0] root,
    input  logic         [4:0] half,
    input  logic signed [15:0] gamma,
    input  logic signed  [7:0] gamma_exponent,
    input  logic signed [15:0] beta,
    input  logic signed  [7:0] beta_exponent,
    output logic signed [43:0] sum,
    output logic signed  [8:0] sum_exponent
);
  // 2, 3: N x
  logic signed [30:0] by_length;
  logic signed [29:0] times, times_2;
  multiplier #(.WA(15), .WB(16)) u_length (.a($signed({1'b0, length})), .b(word), .p(by_length));
  always_ff @(posedge clk) begin
    times   <= by_length[29:0];
    times_2 <= times;
  end

  // 4: N x - s1
  logic signed [30:0] centred;
  always_ff @(posedge clk) centred <= 31'(times_2) - 31'(s1);

  // 5, 6: times the root
  logic signed [50:0] by_root;
  logic signed [49:0] product, product_2;
  multiplier #(.WA(31), .WB(20)) u_root (.a(centred), .b($signed({1'b0, root})), .p(by_root));
  always_ff @(posedge clk) begin
    product   <= by_root[49:0];
    product_2 <= product;
  end

  // 7: over 2**half, with 14 fraction bits; below sqrt(N), which 24 bits hold
  logic signed [49:0] halved;
  logic signed [23:0] y;
  round_shift #(.W(50), .S(6), .ROUNDING(1)) u_half (.x(product_2), .s(6'(half) + 6'd4), .y(halved));
  always_ff @(posedge clk) y <= halved[23:0];

  // 8, 9: times gamma; the sum's exponent, and how far the product and beta are from it
  logic signed [39:0] by_gamma, weighted, weighted_2;
  logic signed  [8:0] product_exponent, beta_lowest, top;
  logic signed  [9:0] distance;
  multiplier #(.WA(24), .WB(16)) u_gamma (.a(y), .b(gamma), .p(by_gamma));
  assign product_exponent = gamma_exponent == -8'sd128 ? -9'sd128 : 9'(gamma_exponent) - 9'sd14;
  assign beta_lowest      = 9'(beta_exponent) - 9'sd22;
  assign top              = product_exponent > beta_lowest ? product_exponent : beta_lowest;
  assign distance         = 10'(top) + 10'sd14 - 10'(gamma_exponent);  // never negative

  logic         [7:0] right, right_2;
  logic signed [15:0] beta_1;
  logic signed  [8:0] left, exponent_1, exponent_2, exponent_3;
  always_ff @(posedge clk) begin
    weighted   <= by_gamma;
    weighted_2 <= weighted;
    right      <= distance[7:0];
    right_2    <= right;
    beta_1     <= beta;
    left       <= 9'(beta_exponent) - top;
    exponent_1 <= top;
  end

  // 9: beta, at most 22 to the left
  logic signed [37:0] beta_shifted, beta_2, beta_3;
  scale #(.WX(16), .WS(9), .LIMIT(62), .LONGEST_LEFT(22)) u_beta (.x(beta_1), .s(left), .y(beta_shifted));
  always_ff @(posedge clk) begin
    beta_2     <= beta_shifted;
    exponent_2 <= exponent_1;
  end

  // 10: the product, which only goes right
  logic signed [39:0] rounded, shifted;
  round_shift #(.W(40), .S(6)) u_product (.x(weighted_2), .s(right_2[5:0]), .y(rounded));
  always_ff @(posedge clk) begin
    shifted    <= right_2 > 8'd62 ? 40'sd0 : rounded;
    beta_3     <= beta_2;
    exponent_3 <= exponent_2;
  end

  // 11: the sum, and as many cycles later as the pipeline is longer
  localparam int Last = LATENCY - 11;
  logic signed [43:0] sums[Last+1];
  logic signed  [8:0] exponents[Last+1];
  for (genvar i = 0; i <= Last; i++) begin : stage
    always_ff @(posedge clk) begin
      sums[i]      <= i == 0 ? 44'(shifted) + 44'(beta_3) : sums[i==0?0:i-1];
      exponents[i] <= i == 0 ? exponent_3 : exponents[i==0?0:i-1];
    end
  end
  assign sum          = sums[Last];
  assign sum_exponent = exponents[Last];

  logic unused;
  assign unused = ^{by_length[30], by_root[50], halved[49:24], distance[9:8]};
endmodule
